"""`final_scores`: the scores of a finished run, by which tracking systems compare runs."""

from tfdqn.records import Summary


def final_scores(summary: Summary) -> dict[str, float]:
    """Returns of the best policy, by name: of its evaluation and of the final one. Empty without an evaluator."""
    scores = {"final/best_return": summary.best_return}
    if summary.final is not None:
        final = summary.final
        scores |= {"final/return": final.mean_return, "final/ci_low": final.ci_low, "final/ci_high": final.ci_high}
    return {name: value for name, value in scores.items() if value is not None}
