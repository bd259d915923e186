"""When training ends, and whether a finished run's results are still valid."""

import msgspec

from tfdqn.config import Config, Stop
from tfdqn.errors import CheckpointError
from tfdqn.records import Counters, Summary
from tfdqn.storage.checkpoints import Checkpoint, CheckpointManager
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_summary


def reason_to_stop(
    stop: Stop, *, best_return: float | None, evaluations_without_best: int, is_done: bool
) -> str | None:
    """Why training has ended, or None while it goes on.

    Args:
      best_return: mean greedy return of the best evaluation.
      evaluations_without_best: evaluations since the best one.
      is_done: whether all environment steps were taken, and all updates that they owe were made.
    """
    if best_return is not None and _is_reached(stop, best_return):
        return f"an evaluation reached a mean return of {best_return:,.2f}"
    if _is_exhausted(stop, evaluations_without_best):
        return f"{evaluations_without_best} evaluations brought no new best"
    # Not how many were taken: other processes may take more until the summary counts them.
    return f"the budget of {stop.env_steps:,} environment steps was reached" if is_done else None


def finished_before(run: RunDir, config: Config, counters: Counters, *, has_evaluator: bool) -> Summary | None:
    """The summary of a finished run if it is still valid, else None. Arguments as in `still_stands`."""
    summary = read_summary(run.summary_file)
    if summary is None or not still_stands(summary, config, counters, has_evaluator=has_evaluator):
        return None
    return msgspec.structs.replace(summary, status="already finished")


def finished_summary(run: RunDir, config: Config, *, has_evaluator: bool) -> Summary | None:
    """The summary of a finished run, as from `finished_before`, by the counters of its newest checkpoint.

    Raises CheckpointError if all checkpoints are damaged.
    """
    newest = CheckpointManager(run.checkpoints).latest(names=())
    return None if newest is None else finished_before(run, config, newest.counters, has_evaluator=has_evaluator)


def last_results(run: RunDir, config: Config, newest: Checkpoint | None) -> Summary | None:
    """The summary of a finished run; None if there is none, or if the run was started again and has not finished since.

    `config` is the run's own, which has the conditions to stop of its last start. Without the newest checkpoint
    (`newest_checkpoint`) the summary is believed.
    """
    summary = read_summary(run.summary_file)
    if summary is None or newest is None:
        return summary
    return summary if still_stands(summary, config, newest.counters, has_evaluator=False) else None


def newest_checkpoint(run: RunDir) -> Checkpoint | None:
    """The newest checkpoint, without its arrays; None if there is none that can be read."""
    try:
        return CheckpointManager(run.checkpoints).latest(names=())
    except (CheckpointError, OSError):
        return None


def overrides_to_go_on(summary: Summary, stop: Stop, counters: Counters) -> list[str]:
    """The overrides ("key=value") that train a finished run further.

    They lift every condition in `stop` that now holds: about as many steps again as it allows, beyond those that the
    run has; no return to reach; no limit of evaluations without a new best. `counters` are those of its newest
    checkpoint.
    """
    lifted = []
    if summary.env_steps >= stop.env_steps:
        budgets_used = round(summary.env_steps / stop.env_steps)  # the last one may lack or exceed a few steps
        lifted.append(f"stop.env_steps={(budgets_used + 1) * stop.env_steps}")
    if _is_reached(stop, summary.best_return):
        lifted.append("stop.return_at_least=none")
    if _is_exhausted(stop, counters.evaluations_without_best):
        lifted.append("stop.patience_evaluations=0")
    return lifted


def still_stands(summary: Summary, config: Config, counters: Counters, *, has_evaluator: bool) -> bool:
    """Whether a finished run's summary is still valid under the given configuration.

    It is not if the run was trained further since, if the conditions to stop no longer hold, or if another number of
    final episodes is asked for. `has_evaluator`: whether the best policy is scored at the end.

    The newest checkpoint's `counters` may have fewer environment steps than the summary, because actors in other
    processes still report after it.
    """
    if summary.train_steps != counters.train_steps:
        return False
    played = 0 if summary.final is None else summary.final.episodes
    if has_evaluator and played != config.evaluation.final_episodes:
        return False
    reason = reason_to_stop(
        config.stop,
        best_return=summary.best_return,
        evaluations_without_best=counters.evaluations_without_best,
        is_done=counters.env_steps >= config.stop.env_steps,
    )
    return reason is not None


def _is_reached(stop: Stop, best_return: float | None) -> bool:
    return stop.return_at_least is not None and best_return is not None and best_return >= stop.return_at_least


def _is_exhausted(stop: Stop, evaluations_without_best: int) -> bool:
    return 0 < stop.patience_evaluations <= evaluations_without_best
