"""The section `priorities`: prioritised sampling from replay, and the correction of its bias."""

from typing import Annotated, Literal

from tfdqn.config.fields import FIXED_IN_BOTH, Count, Fraction, Positive, Section, doc, needs_above

_USED = needs_above(0, "priorities.exponent")


class Priorities(Section, frozen=True, kw_only=True):
    """Proportional prioritised replay (Schaul et al. 2016): P(i) is proportional to (|TD error i| + epsilon)^alpha."""

    exponent: Annotated[Fraction, FIXED_IN_BOTH, doc("alpha; 0: uniform sampling, without priorities")] = 0.0
    importance_start: Annotated[
        Fraction,
        _USED,
        doc("initial beta; the importance weights are (N P)^-beta, divided by the largest of the batch"),
    ] = 0.4
    importance_end: Annotated[Fraction, _USED, doc("final beta")] = 1.0
    importance_train_steps: Annotated[
        Count, _USED, doc("train steps over which beta grows from importance_start to importance_end")
    ] = 100_000
    new_items: Annotated[
        Literal["largest", "actor"],
        _USED,
        doc("priority of new transitions: the largest so far, or the actor's own estimate of the TD error"),
    ] = "largest"
    epsilon: Annotated[Positive, _USED, doc("added to |TD error|, so that no priority is 0")] = 1e-6

    @property
    def are_used(self) -> bool:
        """Whether transitions are sampled by priority."""
        return self.exponent > 0
