"""What a loss is: settings, networks and a batch → each example's loss, its TD error, and the Q-values it is told by.

The unit of extension: one file a paper in `losses/`. Time convention: `_tm1` is the state acted in, `_t` the state
k <= n steps later. Where an ensemble's K members learn, what networks give and what a loss gives leads with K.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple

import tensorflow as tf

from tfdqn.errors import OwnCodeError
from tfdqn.networks.noise import Noise
from tfdqn.networks.q_network import QNetwork
from tfdqn.networks.torsos.torso import Observation


class Batch(NamedTuple):
    """Finished transitions, leading axis B."""

    observation_tm1: Observation
    legal_tm1: tf.Tensor | None  # bool[B, A], [B, D, A] of branches; None: all actions are legal
    action_tm1: tf.Tensor  # int32[B]; [B, D] of branches
    r_t: tf.Tensor  # float32[B], n-step returns times `agent.reward_scale`
    discount_t: tf.Tensor  # float32[B], γ^k · (0 where the episode terminated)
    observation_t: Observation
    legal_t: tf.Tensor | None


# (Q⁻(s', ·), the Q(s', ·) that selects, legal actions) → the value of s', float32[…, B]
GreedyValue = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]


class LossNetwork:
    """A network as losses call it: every call with noise of its own, where there is noise.

    Args:
      network: the online or the target network.
      noise: what its noisy layers draw from, or a loss itself; None: there is none.
    """

    def __init__(self, network: QNetwork, noise: Noise | None):
        self._network, self._noise, self._calls = network, noise, count()
        self.head = network.head

    def __call__(self, observation: Observation) -> tf.Tensor:
        """Q float32[…, B, A]."""
        return self.head.q_values(self.outputs(observation))

    def outputs(self, observation: Observation) -> tf.Tensor:
        """What the head gives a loss to read."""
        return self._network.outputs(observation, noise=self.noise())[0]

    def features(self, observation: Observation) -> tf.Tensor:
        """The torso's features float32[…, B, F], of which a loss may have the head compute several outputs."""
        return self._network.features(observation)[0]

    def noise(self) -> Noise | None:
        """For one forward pass, or one draw of a loss: a stream that no other has."""
        return None if self._noise is None else self._noise.split("call", next(self._calls))


class Networks(NamedTuple):
    """What a loss may ask."""

    online: LossNetwork
    target: LossNetwork
    greedy_value: GreedyValue  # of the best action: `td.greedy_value`, or all members' of an ensemble


class LossOutput(NamedTuple):
    """What a loss gives; the agent takes the mean, weighted by importance."""

    loss: tf.Tensor  # float32[…, B], of each example
    td_error: tf.Tensor  # float32[…, B], target minus prediction, or what else says how wrong it was: of branches a sum
    q_tm1: tf.Tensor  # Q(s, ·) float32[…, B, A], as it acts; [B, D, A] of branches
    q_value: tf.Tensor  # Q(s, a) float32[…, B] of the action taken


Loss = Callable[[Any, Networks, Batch], LossOutput]  # the first: its settings, `config.agent`


def check_output(output: Any, examples: Sequence[int | None], actions: Sequence[int], source: str) -> None:
    """Raises OwnCodeError if a loss gives anything but float32 of the shapes of `LossOutput`.

    It looks at static shapes alone, while the update is traced.

    Args:
      output: what the loss gave.
      examples: [B], or [K, B] of an ensemble; None: a size that is not known.
      actions: [A], or [D, A] of branches.
      source: the loss, in words.
    """
    if not isinstance(output, LossOutput):
        raise OwnCodeError(f"{source} gives {_described(output)}, where a LossOutput is due")
    for field, value in output._asdict().items():
        shape = [*examples, *actions] if field == "q_tm1" else [*examples]
        fits = isinstance(value, tf.Tensor) and value.dtype == tf.float32 and value.shape.is_compatible_with(shape)
        if not fits:
            due = _described(tf.TensorSpec(shape, tf.float32))
            raise OwnCodeError(f"{source} gives {field} = {_described(value)}, where {due} is due")


def _described(value: Any) -> str:
    """ "float32[128, 2]"; of what is no tensor, its type."""
    if not isinstance(value, tf.Tensor | tf.TensorSpec):
        return type(value).__name__
    sizes = "…" if value.shape.rank is None else ", ".join("?" if size is None else str(size) for size in value.shape)
    return f"{value.dtype.name}[{sizes}]"
