"""`StudyReader`: how a study stands, read from its folder alone, also while processes work on it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tfdqn.storage.locks import holder_of
from tfdqn.tuning.recorded_trials import read_trial
from tfdqn.tuning.search_space import dimensions_of
from tfdqn.tuning.study_folder import StudyError, StudyFolder
from tfdqn.tuning.study_storage import open_journal, quiet_optuna, require_optuna, storage_failures_are_one_line
from tfdqn.tuning.trial_records import Trial, best_of, counts_by_state

if TYPE_CHECKING:  # an extra
    from optuna.storages import BaseStorage


class TrialReport(Struct, frozen=True, kw_only=True):
    """How a trial stands."""

    number: int
    state: str
    values: dict[str, Any]  # by key
    evaluations: int
    best_return: float | None  # the highest mean return of its evaluations that is a number
    score: float | None  # the mean return of its final evaluation
    why: str  # why it failed
    run: str  # its run's directory


class StudyReport(Struct, frozen=True, kw_only=True):
    """How a study stands; `tfdqn inspect --json` prints it."""

    path: str
    counts: tuple[str, ...]  # of trials by state, in words
    trials: tuple[TrialReport, ...]
    best: int | None  # the number of the best trial
    page: str  # "": there is none yet


class StudyReader:
    """Reads a study's trials, as often as it is asked to; writes nothing.

    Raises StudyError if Optuna isn't installed, if the trials are in a database, or if the journal is damaged.
    """

    def __init__(self, folder: StudyFolder):
        self._folder, self._identity = folder, folder.identity()
        if self._identity.storage:
            where = f"its trials are in the database {self._identity.storage}"
            raise StudyError(f"{folder.path} is a study's folder, and {where}: {folder.where_to_look}")
        require_optuna(f"{folder.path} is a study's folder, and reading it", f"; {folder.where_to_look}")
        quiet_optuna()
        self._storage: BaseStorage | None = None

    def report(self) -> StudyReport:
        """How the study stands now."""
        trials, page = self._trials(), self._folder.page
        best = best_of(trials)
        return StudyReport(
            path=str(self._folder.path),
            counts=tuple(counts_by_state(trials)),
            trials=tuple(map(self._reported, trials)),
            best=None if best is None else best.number,
            page=str(page) if page.exists() else "",
        )

    def is_over(self) -> bool:
        """Whether no process works on the study."""
        return not self._folder.is_worked_on()

    def _trials(self) -> Sequence[Trial]:
        if not self._folder.journal.exists():
            return ()
        import optuna

        with storage_failures_are_one_line(self._folder.path):
            self._storage = self._storage or open_journal(self._folder.journal)
            try:
                study = optuna.load_study(study_name=self._identity.name, storage=self._storage)
            except KeyError:  # it begins just now
                return ()
            dimensions = dimensions_of(study.user_attrs.get("space", {}))
            found = study.get_trials(deepcopy=False)
            return [read_trial(each, dimensions, self._identity.id, self._has_process) for each in found]

    def _has_process(self, number: int) -> bool:
        return holder_of(self._folder.trial_lock_file(number)) is not None

    def _reported(self, trial: Trial) -> TrialReport:
        return TrialReport(
            number=trial.number,
            state=str(trial.state),
            values=dict(trial.values),
            evaluations=len(trial.returns),
            best_return=max(filter(math.isfinite, trial.returns.values()), default=None),
            score=trial.score,
            why=trial.why,
            run=str(self._folder.trial(trial.number).path),
        )
