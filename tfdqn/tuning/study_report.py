"""`StudyReader`: how a study stands, read from its folder alone, also while processes work on it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tfdqn.records import Status
from tfdqn.storage.locks import holder_of
from tfdqn.storage.run_folders import SeedsFolder, is_seeds_folder
from tfdqn.tuning.search_space import dimensions_of
from tfdqn.tuning.seed_results import SeedsReport, seeds_report
from tfdqn.tuning.study_folder import Request, StudyError, StudyFolder
from tfdqn.tuning.study_storage import (
    open_journal,
    quiet_optuna,
    read_trial,
    require_optuna,
    storage_failures_as_study_error,
)
from tfdqn.tuning.trial_records import Trial, best_of, counts_by_state, ended_of

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

    status: Status  # "training", "stopped" or "finished"
    path: str
    workers: tuple[str, ...]  # the processes that work on it
    wanted: int | None  # how many trials were asked for; None: not known
    ended: int  # how many of these have ended
    counts: dict[str, int]  # of trials by state
    trials: tuple[TrialReport, ...]
    best: int | None  # the number of the best trial
    best_config: str  # the file of its configuration; "": there is none yet
    fresh_seeds: SeedsReport | None  # of its configuration with other seeds; None: they have not begun
    page: str  # "": there is none yet
    resume: str  # the command that goes on with it; "": it has finished, is worked on, or the command is not known


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
        trials, folder, request = self._trials(), self._folder, self._folder.request()
        best, ended, workers = best_of(trials), ended_of(trials), folder.workers()
        fresh = None if best is None else SeedsFolder(folder.seeds_of_best(best.number))
        fresh_seeds = None if fresh is None or not is_seeds_folder(fresh.path) else seeds_report(fresh)
        status = Status.TRAINING if workers else _status(trials, ended, request, best, fresh_seeds)
        return StudyReport(
            status=status,
            path=str(folder.path),
            workers=tuple(map(str, workers)),
            wanted=None if request is None else request.trials,
            ended=ended,
            counts=counts_by_state(trials),
            trials=tuple(map(self._reported, trials)),
            best=None if best is None else best.number,
            best_config=str(folder.best_config_file) if best is not None and folder.has_best(best.number) else "",
            fresh_seeds=fresh_seeds,
            page=str(folder.page) if folder.page.exists() else "",
            resume=request.command(folder.path) if request is not None and status is Status.STOPPED else "",
        )

    def is_over(self) -> bool:
        """Whether no process works on the study."""
        return not self._folder.workers()

    def _trials(self) -> Sequence[Trial]:
        if not self._folder.journal.exists():
            return ()
        import optuna

        with storage_failures_as_study_error(self._folder.path):
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


def _status(
    trials: Sequence[Trial], ended: int, request: Request | None, best: Trial | None, fresh_seeds: SeedsReport | None
) -> Status:
    """Whether a study has finished that nobody works on: "finished" or "stopped"."""
    if request is None:  # an earlier version's
        return Status.FINISHED if trials and all(each.has_ended for each in trials) else Status.STOPPED
    has_trials = ended >= request.trials and all(each.has_ended for each in trials)
    trained = 0 if fresh_seeds is None or fresh_seeds.status is not Status.FINISHED else len(fresh_seeds.seeds)
    has_seeds = best is None or trained >= request.fresh_seeds
    return Status.FINISHED if has_trials and has_seeds else Status.STOPPED
