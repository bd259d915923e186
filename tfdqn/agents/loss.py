"""The interface of losses: a `Loss` is a function of settings, networks and a batch that returns a `LossOutput`.

There is one file per paper in `losses/`. Time convention: `_tm1` is the state acted in, `_t` the state k <= n steps
later. For an ensemble, the outputs of networks and losses have a leading axis of K members.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple

import tensorflow as tf

from tfdqn.config.own_code import require_function
from tfdqn.errors import OwnCodeError
from tfdqn.networks.noise import Noise
from tfdqn.networks.own_parts import described, fits, misfit
from tfdqn.networks.q_network import QNetwork
from tfdqn.networks.torsos.torso import Observation


class Batch(NamedTuple):
    """A batch of B finished transitions."""

    observation_tm1: Observation
    legal_tm1: tf.Tensor | None  # bool[B, A], with branches [B, D, A]; None: all actions are legal
    action_tm1: tf.Tensor  # int32[B], with branches [B, D]
    r_t: tf.Tensor  # float32[B], n-step returns times `agent.reward_scale`
    discount_t: tf.Tensor  # float32[B], γ^k, or 0 if the episode terminated
    observation_t: Observation
    legal_t: tf.Tensor | None


class Sequences(NamedTuple):
    """B sequences, each of L = l + m + n consecutive observations: l for burn-in, m to learn from, and n more.

    Step i of the m is taken at observation l + i, and its n-step transition ends at observation l + i + steps[i]. If an
    episode starts later or ends earlier, there is padding before or after it: zeros, which no loss counts.
    """

    observation: Observation  # each [B, L, …]
    first: tf.Tensor  # int32[B] <= l: the index of the first observation that isn't padding
    state: tf.Tensor  # float32[B, S]: the acting network's state before that observation
    action: tf.Tensor  # int32[B, m], with branches [B, m, D]
    reward: tf.Tensor  # float32[B, m], n-step
    discount: tf.Tensor  # float32[B, m], γ^k, or 0 if the episode terminated
    steps: tf.Tensor  # int32[B, m]: k <= n; 0 for padding
    legal_tm1: tf.Tensor | None  # bool[B, m, A], with branches [B, m, D, A]; None: all actions are legal
    legal_t: tf.Tensor | None


# (Q⁻(s', ·), the Q(s', ·) that selects the action, legal actions) → the value of s', float32[…, B]
GreedyValue = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]


class LossNetwork:
    """The online or the target network as losses call it. Every call draws its own noise; None: there is none."""

    def __init__(self, network: QNetwork, noise: Noise | None):
        self._network, self._noise, self._calls = network, noise, count()
        self.head = network.head

    def __call__(self, observation: Observation) -> tf.Tensor:
        """Computes Q float32[…, B, A]."""
        return self.head.q_values(self.outputs(observation))

    def outputs(self, observation: Observation) -> tf.Tensor:
        """Computes the outputs of the head, such as logits or quantiles."""
        return self._network.outputs(observation, noise=self.noise())[0]

    def features(self, observation: Observation) -> tf.Tensor:
        """Computes the torso's features float32[…, B, F], for losses that call the head themselves."""
        return self._network.features(observation)[0]

    def noise(self) -> Noise | None:
        """Returns new noise, for one forward pass or one draw of a loss; None: there is none."""
        return None if self._noise is None else self._noise.split("call", next(self._calls))


class Networks(NamedTuple):
    """The networks of an agent, and how it values a next state."""

    online: LossNetwork
    target: LossNetwork
    greedy_value: GreedyValue  # `td.greedy_value`, its mean over branches, or a value that an ensemble shares


class LossOutput(NamedTuple):
    """The output of a loss for each example; the agent computes the mean, with importance weights."""

    loss: tf.Tensor  # float32[…, B]
    td_error: tf.Tensor  # float32[…, B], target minus prediction or another measure of error; a sum over branches
    q_tm1: tf.Tensor  # Q(s, ·) float32[…, B, A], from which the policy acts; with branches [B, D, A]
    q_value: tf.Tensor  # Q(s, a) float32[…, B] of the action taken
    metrics: Mapping[str, tf.Tensor] = MappingProxyType({})  # float32[…, B] each: the names in `settings.metrics`


Loss = Callable[[Any, Networks, Batch], LossOutput]  # the first argument: its settings, `config.agent`


def check_loss(loss: Any, where: str) -> None:
    """Raises OwnCodeError unless this is a function that can be called as a `Loss`; `where` names it."""
    require_function(loss, where, "settings", "networks", "batch")


def check_output(
    output: Any, examples: Sequence[int | None], actions: Sequence[int], metrics: Any, source: str
) -> None:
    """Raises OwnCodeError if the output of a loss is anything but float32 of the shapes of `LossOutput`.

    It checks only static shapes, while the update is traced. `examples` are [B], or [K, B] for an ensemble, None being
    an unknown size; `actions` [A], or [D, A] with branches; `metrics` the names that the settings declare. `source`
    names the loss.
    """
    if not isinstance(output, LossOutput):
        raise OwnCodeError(f"{source} returned {described(output)}; expected a LossOutput")
    if not isinstance(output.metrics, Mapping) or {*output.metrics} != {*metrics}:
        found = tuple(output.metrics) if isinstance(output.metrics, Mapping) else described(output.metrics)
        raise OwnCodeError(f"{source} returned metrics {found}; the class of its settings says metrics = {metrics!r}")
    own = {f"metrics[{name!r}]": value for name, value in output.metrics.items()}
    for name, value in (output._replace(metrics={})._asdict() | own).items():
        shape = [*examples, *actions] if name == "q_tm1" else [*examples]
        if name != "metrics" and not fits(value, shape):
            raise misfit(f"{source} returned {name} =", value, shape)
