"""When training ends: what `[stop]` says of how a run stands."""

from tfdqn.config import Stop


def reason_to_stop(
    stop: Stop, *, best_return: float | None, evaluations_without_best: int, env_steps: int, is_done: bool
) -> str | None:
    """Why training has ended, or None while it goes on.

    Args:
      best_return: mean greedy return of the best evaluation.
      evaluations_without_best: how many there were since.
      env_steps: taken.
      is_done: whether all that were to be taken have been, and what they owe has been learned.
    """
    if stop.return_at_least is not None and best_return is not None and best_return >= stop.return_at_least:
        return f"an evaluation reached a mean return of {best_return:g}"
    if 0 < stop.patience_evaluations <= evaluations_without_best:
        return f"{evaluations_without_best} evaluations brought no new best"
    return f"{env_steps:,} environment steps were taken" if is_done else None
