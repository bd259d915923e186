"""`Study`: a search in a storage through which any number of processes can work on it at the same time.

A process claims a trial by a lock in the study's folder. If a trial has not ended and its lock is free, its process is
gone or was stopped by the user; the next process that asks for a trial resumes it.
"""

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tfdqn.config import Config, toml
from tfdqn.errors import ConfigError, listed
from tfdqn.randomness import derived_seed
from tfdqn.storage.locks import Attempt, FileLock, holder_of
from tfdqn.system.interval import IntervalTrigger
from tfdqn.tuning.search_space import SearchSpace, written_dimension
from tfdqn.tuning.study_folder import StudyError, StudyFolder
from tfdqn.tuning.study_storage import (
    FOLDER,
    HEARTBEAT_SECONDS,
    WHY,
    Pruner,
    make_pruner,
    open_database,
    open_journal,
    quiet_optuna,
    read_trial,
    shown_url,
    suggest,
    values_of,
)
from tfdqn.tuning.trial_records import Trial, total_evaluations

if TYPE_CHECKING:  # an extra
    import optuna


class ClaimedTrial(NamedTuple):
    """A trial that this process runs."""

    number: int
    values: Mapping[str, Any]
    lock: FileLock
    is_resumed: bool = False  # whether a process has run it before


class Settings(NamedTuple):
    """Where a study is kept, and how it prunes."""

    storage: str | None = None  # a database's URL; None: the journal in the folder
    name: str | None = None  # in the database; None: that of the folder
    pruner: Pruner = Pruner.median
    prune_after: int | None = None  # evaluations before a trial may be pruned; None: a quarter of all


class Study:
    """An open study, which is created, with its folder, if there is none.

    All trials start from `config`, and differ in the keys of `space`.

    Raises StudyError, in one line, if a database's driver is missing, if the database can't be reached, and
    if the folder or the study belongs to another search.
    """

    def __init__(self, folder: StudyFolder, config: Config, space: SearchSpace, settings: Settings):
        quiet_optuna()
        import optuna

        self.folder, self.space, self._config = folder, space, config
        name = settings.name or folder.name
        database = None if settings.storage is None else open_database(settings.storage)
        # Only after the database could be opened: the folder now belongs to this study.
        identity = folder.settle("" if settings.storage is None else shown_url(settings.storage), name)
        self._folder_id, self._name = identity.id, identity.name
        self._storage = open_journal(folder.journal) if database is None else database
        self._is_shared = settings.storage is not None  # with hosts that have no part in the folder
        evaluations = total_evaluations(config)
        least = settings.prune_after or max(1, evaluations // 4)
        pruner = make_pruner(settings.pruner, least, max(least, evaluations))
        with folder.alone():
            self._study = optuna.create_study(
                storage=self._storage, study_name=self._name, direction="maximize", pruner=pruner, load_if_exists=True
            )
            self._require_same()
        self._id = self._storage.get_study_id_from_name(self._name)
        self._claimed: dict[int, ClaimedTrial] = {}
        self._others: dict[int, FileLock] = {}  # locks of trials whose process, on another host, may be gone
        self._heartbeat = IntervalTrigger(HEARTBEAT_SECONDS, is_due=True)

    def next_trial(self, wanted: int) -> ClaimedTrial | None:
        """Claims a trial: one that was abandoned, else a new one if the study has fewer than `wanted`; else None."""
        with self.folder.alone():
            trials = self._study.get_trials(deepcopy=False)
            claimed = self._claim_abandoned(trials)
            if claimed is None and sum(self._read(each).counts for each in trials) < wanted:
                claimed = self._new()
        if claimed is not None:
            self._claimed[claimed.number] = claimed
        return claimed

    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return [self._read(each) for each in self._study.get_trials(deepcopy=False)]

    def report(self, trial: ClaimedTrial, evaluation: int, mean_return: float) -> bool:
        """Records a trial's evaluation; returns whether the trial should end, because it is pruned or already over.

        Evaluations are numbered from 1. One that was recorded before the trial was resumed isn't changed.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        trial_id = self._trial_id(trial.number)
        if evaluation in self._storage.get_trial(trial_id).intermediate_values:
            return False
        try:
            self._storage.set_trial_intermediate_value(trial_id, evaluation, mean_return)
        except UpdateFinishedTrialError:
            return True  # another host has declared the trial dead
        return bool(self._study.pruner.prune(self._study, self._storage.get_trial(trial_id)))

    def complete(self, trial: ClaimedTrial, score: float) -> None:
        """Ends a trial with its score."""
        self._study.tell(trial.number, score, skip_if_finished=True)
        self.release(trial)

    def prune(self, trial: ClaimedTrial) -> None:
        """Ends a trial that was pruned."""
        import optuna

        self._study.tell(trial.number, state=optuna.trial.TrialState.PRUNED, skip_if_finished=True)
        self.release(trial)

    def fail(self, trial: ClaimedTrial, why: str) -> None:
        """Ends a trial that failed by itself. It counts, and is not tried again."""
        self._storage.set_trial_user_attr(self._trial_id(trial.number), WHY, why)
        self._lose(trial.number)
        self.release(trial)

    def release(self, trial: ClaimedTrial) -> None:
        """Releases a trial. If it has not ended, the next process that asks for a trial resumes it."""
        del self._claimed[trial.number]
        trial.lock.release()

    def keep_alive(self) -> None:
        """To be called regularly: tells other hosts that this host's trials are alive, and checks theirs."""
        if self._is_shared and self._heartbeat.is_due():
            from optuna.storages import fail_stale_trials

            self._heartbeat.done()
            for each in self._study.get_trials(deepcopy=False):
                if each.state.name == "RUNNING" and each.user_attrs.get(FOLDER) == self._folder_id:
                    self._send_heartbeat(each.number)  # of abandoned ones too: this process will resume them
            fail_stale_trials(self._study)

    def importances(self) -> dict[str, float]:
        """The importance of each key for being among the best tenth, highest first (PED-ANOVA, arXiv:2304.10255)."""
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about a small number of trials
            return optuna.importance.get_param_importances(self._study)

    def _send_heartbeat(self, number: int) -> None:
        from optuna.storages import RDBStorage

        if isinstance(self._storage, RDBStorage):
            self._storage.record_heartbeat(self._trial_id(number))

    def _claim_abandoned(self, trials: "Sequence[optuna.trial.FrozenTrial]") -> ClaimedTrial | None:
        """Claims an abandoned trial, if any. Called with the folder's lock, so that no other process is choosing."""
        for each in trials:
            if each.state.name != "RUNNING" or each.number in self._claimed:
                continue
            folder = each.user_attrs.get(FOLDER)
            if folder == self._folder_id:
                lock = self._others.setdefault(each.number, FileLock(self.folder.trial_lock_file(each.number)))
                if (attempt := lock.try_acquire()) is not Attempt.UNCLEAR:
                    del self._others[each.number]
                if attempt is not Attempt.ACQUIRED:
                    continue
                if not self._storage.get_trial(self._trial_id(each.number)).state.is_finished():
                    return ClaimedTrial(each.number, self._values(each), lock, is_resumed=True)
                lock.release()  # it ended a moment ago
            elif folder is None and not self._is_shared:
                self._lose(each.number)  # its process died while it was choosing values
        return None

    def _new(self) -> ClaimedTrial:
        """A new trial. Called with the folder's lock."""
        import optuna

        trial = self._study.ask()
        self._send_heartbeat(trial.number)
        # A sampler for each trial, seeded by its number: one per process would repeat its draws after a restart, and
        # two processes would draw the same values.
        self._study.sampler = optuna.samplers.TPESampler(seed=derived_seed(self._config.seed, "tune", trial.number))
        for key, dimension in self.space.dimensions.items():
            suggest(trial, key, dimension)
        lock = FileLock(self.folder.trial_lock_file(trial.number))
        if lock.try_acquire() is not Attempt.ACQUIRED:
            raise StudyError(f"{lock.file} is held by {lock.holder}, but trial {trial.number} is new")
        trial.set_user_attr(FOLDER, self._folder_id)
        return ClaimedTrial(trial.number, self._values(self._storage.get_trial(self._trial_id(trial.number))), lock)

    def _lose(self, number: int) -> None:
        import optuna

        self._study.tell(number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def _values(self, trial: "optuna.trial.FrozenTrial") -> dict[str, Any]:
        return values_of(trial, self.space.dimensions)

    def _read(self, trial: "optuna.trial.FrozenTrial") -> Trial:
        return read_trial(trial, self.space.dimensions, self._folder_id, self._has_process)

    def _has_process(self, number: int) -> bool:
        """Whether a process, this one or another, runs the trial, whose run is in the study's folder."""
        return number in self._claimed or holder_of(self.folder.trial_lock_file(number)) is not None

    def _require_same(self) -> None:
        """Raises StudyError if the study was begun with another configuration or space."""
        for name, now in (("space", self.space.to_builtins()), ("configuration", toml.flat(self._config))):
            now = json.loads(json.dumps(now))
            before = self._study.user_attrs.get(name)
            if before is None:
                self._study.set_user_attr(name, now)
                continue
            if name == "configuration":
                before = {**_defaults(self._config, now.keys() - before.keys()), **before}
            keys = [key for key in before | now if before.get(key, ...) != now.get(key, ...)]
            keys = [key for key in keys if not key.startswith("tracking.")]  # where trials are shown may change
            if keys:
                changed = (f"{key} is {_said(name, before, key)} there, {_said(name, now, key)} here" for key in keys)
                raise StudyError(
                    f"{self.folder.path} belongs to a study of another {name}: {listed(list(changed))}; "
                    "choose another --study-dir"
                )


def _defaults(config: Config, keys: Collection[str]) -> dict[str, Any]:
    """The defaults of keys beside the others of `config`, as JSON has them.

    An earlier version of tfdqn, which did not have these keys, did what they do by default. Keys of a kind that the
    study did not use also get defaults here; the differing `kind` is reported anyway. Empty if `config` is invalid
    without them.
    """
    if not keys:
        return {}
    others = [f"{key}={toml.written(value)}" for key, value in toml.flat(config).items() if key not in keys]
    try:
        found = json.loads(json.dumps(toml.flat(toml.from_mapping({}, others))))
    except ConfigError:
        return {}
    return {key: found[key] for key in keys if key in found}


def _said(name: str, values: Mapping[str, Any], key: str) -> str:
    """What a space or a configuration has of a key, as its file would."""
    if key not in values:
        return "absent"
    return written_dimension(values[key]) if name == "space" else toml.written(values[key])
