"""`final_scores`: a finished run's figures by name, by which trackers compare it with others."""

from tfdqn.records import Summary


def final_scores(summary: Summary) -> dict[str, float]:
    """Of the best policy on fresh episodes, and of its evaluation; none if there was no evaluator."""
    scores = {"final/best_return": summary.best_return}
    if summary.final is not None:
        final = summary.final
        scores |= {"final/return": final.mean_return, "final/ci_low": final.ci_low, "final/ci_high": final.ci_high}
    return {name: value for name, value in scores.items() if value is not None}
