"""What a study asks of Optuna: its storage, a journal file or a database that many hosts share; trials and pruners."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tfdqn.config import toml
from tfdqn.errors import UserError, first_line
from tfdqn.storage.atomic_files import is_full_disk
from tfdqn.storage.locks import exclusive
from tfdqn.system.shell_commands import install_extra, pip_install
from tfdqn.tuning.search_space import Choices, Dimensions, NumberRange
from tfdqn.tuning.study_folder import StudyError
from tfdqn.tuning.trial_records import Trial, TrialState

if TYPE_CHECKING:  # Optuna is an extra
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

FOLDER, WHY = "folder", "why"  # a trial's attributes: the id of the folder of its run, and why it failed
HEARTBEAT_SECONDS = 60  # between two heartbeats of a trial in a database
_DISTRIBUTIONS = {"MySQLdb": "mysqlclient"}  # packages of drivers, by module, if the names differ
_DEAD_AFTER_SECONDS = 300  # without a heartbeat, after which other hosts consider a trial dead
_REDUCTION_FACTOR = 3  # by which the number of trials falls from rung to rung


class Pruner(StrEnum):
    """How trials are ended early, judged by their evaluations."""

    none = "none"
    median = "median"
    asha = "asha"
    hyperband = "hyperband"


def require_optuna(what: str, instead: str = "") -> None:
    """Raises StudyError, "WHAT needs Optuna: …INSTEAD", if Optuna isn't installed. Imports nothing."""
    if find_spec("optuna") is None:
        raise StudyError(f"{what} needs Optuna: {install_extra('tune')}{instead}")


def quiet_optuna() -> None:
    """Turns Optuna's own messages off."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", "Heartbeat of storage is supposed to be used with Study.optimize")


def shown_url(url: str) -> str:
    """A database's URL with its password hidden. Raises StudyError if it isn't a URL."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        example = "postgresql+psycopg2://user@host/database"
        raise StudyError(f"--storage: must be a database's URL, such as {example}") from None


def open_journal(file: Path) -> "BaseStorage":
    """Opens a storage in a file on this host, for any number of processes. Raises StudyError if it is damaged."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        return JournalStorage(JournalFileBackend(str(file), cast(Any, JournalLock(file))))
    except (ValueError, KeyError, AssertionError) as error:
        raise StudyError(f"{file} is damaged: {first_line(error)}") from None


def open_database(url: str) -> "BaseStorage":
    """Opens a storage in a database, whose tables are made if need be. Raises StudyError if it can't be reached."""
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    where = shown_url(url)
    try:
        return RDBStorage(url, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=_DEAD_AFTER_SECONDS)
    except ImportError as error:
        missing = getattr(error.__cause__ or error.__context__, "name", None)
        install = f": {pip_install(_DISTRIBUTIONS.get(missing, missing))}" if missing else ""
        raise StudyError(f"--storage {where} needs a driver that isn't installed{install}") from None
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StudyError(f"--storage {where} can't be opened: {first_line(cause)}") from None


@contextmanager
def storage_failures_as_study_error(folder: Path, again: str = "") -> Iterator[None]:
    """Turns an error of the storage of a folder's study, in the block, into a StudyError; also one by a full disk.

    The command `again`, which goes on with the study, is a note of the StudyError.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise _failure(f"{error.filename or folder}: the disk is full: make room", again) from error
    except Exception as error:
        from optuna.exceptions import StorageInternalError  # late: slow to import
        from sqlalchemy.exc import SQLAlchemyError

        if not isinstance(error, StorageInternalError | SQLAlchemyError):
            raise
        cause = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
        raise _failure(f"the storage of the study in {folder} fails: {first_line(cause)}", again) from error


def _failure(line: str, again: str) -> StudyError:
    error = StudyError(line)
    if again:
        error.add_note(f"To go on:\n{again}")
    return error


class JournalLock:
    """A lock for Optuna's journal that the kernel releases at once when its holder is killed.

    Optuna's own lock is a link, which counts as stale only after 30 s: all other processes would stop until then. The
    partial line that a killed writer may leave is removed before the next write, since Optuna couldn't read it.
    """

    def __init__(self, journal: Path):
        self._journal = journal
        self._lock_file = journal.with_name(f"{journal.name}.lock")
        self._held = ExitStack()

    def acquire(self) -> bool:
        self._held.enter_context(exclusive(self._lock_file))
        self._remove_partial_line()
        return True

    def release(self) -> None:
        self._held.close()

    def _remove_partial_line(self) -> None:
        with self._journal.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            if not end:
                return
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)


def suggest(trial: "optuna.trial.Trial", key: str, dimension: NumberRange | Choices) -> None:
    """Lets the study's sampler choose a key's value, which the storage records."""
    if isinstance(dimension, Choices):
        trial.suggest_categorical(key, [_label(each) for each in dimension.values])
    elif isinstance(dimension.low, float):
        trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log)
    else:
        trial.suggest_int(key, dimension.low, int(dimension.high), step=dimension.step, log=dimension.log)


def _label(choice: Any) -> Any:
    """A choice in a form that Optuna can store."""
    return choice if choice is None or isinstance(choice, bool | int | float | str) else toml.written(choice)


def make_pruner(pruner: Pruner, least: int, most: int) -> "optuna.pruners.BasePruner":
    """A pruner that never ends a trial before its first `least` evaluations, of `most`."""
    from optuna import pruners

    match pruner:
        case Pruner.median:
            return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=least)
        case Pruner.asha:
            return pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=_REDUCTION_FACTOR)
        case Pruner.hyperband:
            return pruners.HyperbandPruner(min_resource=least, max_resource=most, reduction_factor=_REDUCTION_FACTOR)
        case Pruner.none:
            return pruners.NopPruner()


def read_trial(
    trial: "FrozenTrial", dimensions: Dimensions, folder_id: str, has_process: Callable[[int], bool]
) -> Trial:
    """A trial of a study with a folder on this host; `has_process` says whether a process runs one of its trials."""
    why = trial.user_attrs.get(WHY, "")
    state = TrialState[trial.state.name] if trial.state.name in TrialState.__members__ else TrialState.FAILED
    folder = trial.user_attrs.get(FOLDER)
    if (state is TrialState.FAILED and not why) or (state is TrialState.RUNNING and folder is None):
        state = TrialState.LOST
    if state is TrialState.RUNNING and folder == folder_id and not has_process(trial.number):
        state = TrialState.STOPPED
    score = trial.value if state is TrialState.COMPLETE else None
    return Trial(trial.number, state, values_of(trial, dimensions), score, trial.intermediate_values, why)


def values_of(trial: "FrozenTrial", dimensions: Dimensions) -> dict[str, Any]:
    """A trial's values, in the form that the configuration has."""
    return {key: _value(dimensions[key], stored) for key, stored in trial.params.items()}


def _value(dimension: NumberRange | Choices, stored: Any) -> Any:
    if isinstance(dimension, Choices):
        return next(each for each in dimension.values if _label(each) == stored)
    return stored
