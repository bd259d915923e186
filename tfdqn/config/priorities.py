"""The section `priorities`: which transitions updates sample more often, and how that is made up for."""

from typing import Annotated, Literal

from tfdqn.config.fields import FIXED_IN_BOTH, Count, Fraction, Positive, Section, doc


class Priorities(Section, frozen=True, kw_only=True):
    """Proportional prioritised replay: Schaul et al. 2016. A transition of priority p is sampled in proportion to
    p^alpha, p being its absolute TD error when it was last sampled, plus epsilon.
    """

    exponent: Annotated[Fraction, FIXED_IN_BOTH, doc("alpha; 0: uniform sampling, without priorities")] = 0.0
    importance_start: Annotated[
        Fraction, doc("beta at first: updates are weighted by (N P)^-beta over the largest such of the batch")
    ] = 0.4
    importance_end: Annotated[Fraction, doc("beta at last")] = 1.0
    importance_train_steps: Annotated[Count, doc("train steps over which beta goes from the one to the other")] = (
        100_000
    )
    new_items: Annotated[
        Literal["largest", "actor"],
        doc("priority of new transitions: the largest so far, or the TD error by the Q-values that the actor acts by"),
    ] = "largest"
    epsilon: Annotated[Positive, doc("what is added to absolute TD errors, so that no priority is 0")] = 1e-6

    @property
    def are_used(self) -> bool:
        """Whether sampling is by priorities."""
        return self.exponent > 0
