"""Warns, before a run begins, of calls with so much work that nothing can be saved for a long time."""

from tfdqn.config import Config
from tfdqn.types import Weights

# Multiplications of one network's forward pass over all of a call, by its dense weights. An update takes about four
# such passes, so this is some ten seconds on two cores.
_MANY = 1e11


def doubt(config: Config, weights: Weights) -> str:
    """Which keys to lower, in one line; empty if a call is short enough.

    Args:
      config: how many updates a call makes, and of what.
      weights: the network's, by canonical name. A convolution's are counted once, although it uses them everywhere.
    """
    updates, batch, replay = config.updates_per_call, config.learner.batch_size, config.replay
    is_sequence = config.agent.has_replay and replay.item == "sequence"
    steps = replay.burn_in + replay.sequence_length + config.agent.n_step if is_sequence else 1
    if updates * batch * steps * sum(weight.size for weight in weights.values()) < _MANY:
        return ""
    what = f"{batch:,} sequences of {steps:,} steps" if is_sequence else f"{batch:,} examples"
    keys = ["learner.updates_per_call", *(["replay.sequence_length"] if is_sequence else [])]
    return (
        f"one call makes {updates:,} updates of {what} each: without a GPU that may take minutes, in which nothing can "
        f"be saved; lower learner.batch_size, {' or '.join(keys)}"
    )
