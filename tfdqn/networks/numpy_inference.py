"""Q-values in NumPy: for small dense networks an order of magnitude cheaper per call than `tf.function`.

One call serves all environments of an actor, holds no TensorFlow thread and waits for no learner.
"""

from collections.abc import Callable

import numpy as np

from tfdqn import config
from tfdqn.networks import encoding, feature_maps
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Weights

QFunction = Callable[[Weights, dict[str, np.ndarray]], np.ndarray]

_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0, out=x),
    "tanh": lambda x: np.tanh(x, out=x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
}


def numpy_q_function(network: config.Network, task_spec: TaskSpec) -> QFunction | None:
    """(weights by name, observation) → Q float32[B, A]; None where NumPy is no gain (convolutions).

    Of an ensemble's weights, which lead with K, the function gives Q float32[K, B, A].
    """
    if isinstance(network, config.MLP):
        return _mlp(network, task_spec)
    if isinstance(network, config.Linear):
        return _linear(network, task_spec)
    return None


def _mlp(network: config.MLP, task_spec: TaskSpec) -> QFunction:
    activation = _ACTIVATIONS[network.activation]
    hidden_layers = [f"hidden_{i}" for i in range(len(network.hidden_units))]

    def q_function(weights: Weights, observation: dict[str, np.ndarray]) -> np.ndarray:
        x = encoding.encode_numpy(observation, task_spec)
        for layer in hidden_layers:
            x = x @ weights[f"{layer}/kernel"]
            x += weights[f"{layer}/bias"][..., np.newaxis, :]
            x = activation(x)
        return x @ weights["q/kernel"] + weights["q/bias"][..., np.newaxis, :]

    return q_function


def _linear(network: config.Linear, task_spec: TaskSpec) -> QFunction:
    if network.features == "identity":
        return lambda weights, observation: (
            encoding.encode_numpy(observation, task_spec) @ weights["theta/kernel"]
        )
    factors = feature_maps.monomials(encoding.num_features(task_spec), network.degree)

    def q_function(weights: Weights, observation: dict[str, np.ndarray]) -> np.ndarray:
        phi = feature_maps.polynomial_numpy(encoding.encode_numpy(observation, task_spec), factors)
        return phi @ weights["theta/kernel"]

    return q_function
