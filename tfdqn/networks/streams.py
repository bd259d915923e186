"""Streams: the last layers of a network, from features to M numbers for each action, in TensorFlow and in NumPy.

A plain network has one stream: the last hidden layer and the output. A dueling network (Wang et al. 2016, equation 9)
has two, one for the value and one for the advantages, each with its own last hidden layer:
Q(s, a) = V(s) + A(s, a) − mean_a' A(s, a'). In a noisy network their layers are those of Fortunato et al. 2018.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfdqn.config import Config, DeepNetwork, Linear, Network
from tfdqn.networks.layers.in_numpy import dense_numpy
from tfdqn.networks.layers.plain import LayerFactory, NoisyLayer
from tfdqn.networks.noise import Noise
from tfdqn.networks.torsos.table import TORSOS
from tfdqn.networks.torsos.torso import Hidden, checked_hidden, normalization
from tfdqn.types import Rng, Weights

# (features float32[…, F], noise) → float32[…, A], or […, A, M] if M is above 1
Stream = NoisyLayer
NumpyStream = Callable[[Weights, np.ndarray, Rng | None], np.ndarray]
VALUE, ADVANTAGE = "value", "advantage"  # the names of a dueling network's last layers


def stream(config: Config, width: int, num_actions: int, make: LayerFactory, numbers: int = 1) -> Stream:
    """Makes the last layers of `[network]`, from `width` features to M = `numbers` for each action."""
    settings = config.network
    if not deep(settings).dueling:
        output = layers(settings, "", output_name(settings), num_actions * numbers, width, make)
        return lambda features, noise: _by_action(output(features, noise), num_actions, numbers)
    with make.branch():
        value_of = layers(settings, VALUE, VALUE, numbers, width, make)
    advantages_of = layers(settings, ADVANTAGE, ADVANTAGE, num_actions * numbers, width, make)

    def dueling(features: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        value = _by_action(value_of(features, noise), 1, numbers)
        advantages = _by_action(advantages_of(features, noise), num_actions, numbers)
        return value + advantages - tf.reduce_mean(advantages, axis=_action_axis(numbers), keepdims=True)

    return dueling


def stream_numpy(config: Config, numbers: int = 1) -> NumpyStream:
    """`stream` on NumPy arrays: features float32[B, F], or [K, B, F] for an ensemble."""
    settings = config.network
    if not deep(settings).dueling:
        output = numpy_layers(settings, "", output_name(settings))
        return lambda weights, features, rng: _by_action_numpy(output(weights, features, rng), numbers)
    value_of, advantages_of = numpy_layers(settings, VALUE, VALUE), numpy_layers(settings, ADVANTAGE, ADVANTAGE)

    def dueling(weights: Weights, features: np.ndarray, rng: Rng | None) -> np.ndarray:
        value = _by_action_numpy(value_of(weights, features, rng), numbers)
        advantages = _by_action_numpy(advantages_of(weights, features, rng), numbers)
        return value + advantages - advantages.mean(axis=_action_axis(numbers), keepdims=True)

    return dueling


def deep(settings: Network) -> DeepNetwork:
    return settings if isinstance(settings, DeepNetwork) else DeepNetwork()


def output_name(settings: Network) -> str:
    """The name of the last layer of a network that isn't dueling."""
    return "theta" if isinstance(settings, Linear) else "q"


def _hidden(settings: Network, prefix: str) -> Sequence[Hidden]:
    """The last hidden layer of the stream with this prefix in its names, if there is one."""
    function = TORSOS.of(settings).hidden
    hidden = checked_hidden(function(settings), function)
    if hidden is None:
        return ()
    return (hidden._replace(name=f"{prefix}_{hidden.name}") if prefix else hidden,)


def layers(settings: Network, prefix: str, output: str, units: int, width: int, make: LayerFactory) -> NoisyLayer:
    """Makes the last hidden layer, if there is one, and the output layer of a stream."""
    if isinstance(settings, Linear):
        theta = make.linear(output, units, fan_in=width)
        return lambda features, noise: theta(features)
    made: list[NoisyLayer] = []
    for hidden in _hidden(settings, prefix):
        made.append(_hidden_layer(deep(settings), hidden, width, make))
        width = hidden.units
    made.append(_dense(deep(settings), output, units, None, width, make, is_last=True))

    def through(features: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        for layer in made:
            features = layer(features, noise)
        return features

    return through


def _hidden_layer(settings: DeepNetwork, hidden: Hidden, width: int, make: LayerFactory) -> NoisyLayer:
    if not settings.layer_norm:
        return _dense(settings, hidden.name, hidden.units, hidden.activation, width, make)
    linear = _dense(settings, hidden.name, hidden.units, None, width, make)
    activate = normalization(make, hidden)
    return lambda features, noise: activate(linear(features, noise))


def _dense(
    settings: DeepNetwork,
    name: str,
    units: int,
    activation: str | None,
    width: int,
    make: LayerFactory,
    is_last: bool = False,
) -> NoisyLayer:
    if settings.noisy:
        return make.noisy(name, units, activation, fan_in=width, sigma=settings.noisy_sigma, is_last=is_last)
    layer = make.head(name, units, fan_in=width) if is_last else make.dense(name, units, activation, fan_in=width)
    return lambda features, noise: layer(features)


def numpy_layers(settings: Network, prefix: str, output: str) -> NumpyStream:
    """`layers` on NumPy arrays."""
    if isinstance(settings, Linear):
        return lambda weights, x, rng: x @ weights[f"{output}/kernel"]
    made = [(hidden.name, hidden.activation) for hidden in _hidden(settings, prefix)]

    def through(weights: Weights, x: np.ndarray, rng: Rng | None) -> np.ndarray:
        for name, activation in made:
            x = dense_numpy(weights, name, x, activation, rng)
        return dense_numpy(weights, output, x, None, rng)

    return through


def _action_axis(numbers: int) -> int:
    return -1 if numbers == 1 else -2


def _by_action(outputs: tf.Tensor, num_actions: int, numbers: int) -> tf.Tensor:
    """Reshapes […, A · M] to […, A, M]; leaves it as it is if M is 1."""
    if numbers == 1:
        return outputs
    leading = [-1 if size is None else size for size in outputs.shape[:-1]]
    return tf.reshape(outputs, [*leading, num_actions, numbers])


def _by_action_numpy(outputs: np.ndarray, numbers: int) -> np.ndarray:
    return outputs if numbers == 1 else outputs.reshape(*outputs.shape[:-1], -1, numbers)
