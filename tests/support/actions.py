"""Actions of several dimensions, without an environment."""

from tfdqn.task_spec import ActionSpec


def branches(*counts: int) -> ActionSpec:
    """A MultiDiscrete space's as branches."""
    low, high = (0,) * len(counts), tuple(count - 1 for count in counts)
    return ActionSpec(low=low, high=high, counts=counts, shape=(len(counts),), form="branches")
