"""Dense layers over the flattened observation."""

import numpy as np
import tensorflow as tf

from tfdqn.config import MLP
from tfdqn.networks import encoding
from tfdqn.networks.layers.in_numpy import dense_numpy
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.task_fit import normalized_keys
from tfdqn.networks.torsos.torso import Hidden, NumpyTorso, Observation, Torso, dense, normalizers, normalizers_numpy
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Weights


def mlp(settings: MLP, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Makes the dense layers over the flattened observation, except the last hidden one."""
    normalize = normalizers(make, settings, task_spec)
    widths = [encoding.num_features(task_spec), *settings.hidden_units[:-1]]
    layers = [
        dense(make, settings, hidden, fan_in)
        for fan_in, hidden in zip(widths, hidden_layers(settings)[:-1], strict=False)
    ]

    def features(observation: Observation) -> tf.Tensor:
        hidden = encoding.encode(observation, task_spec, normalize)
        for layer in layers:
            hidden = layer(hidden)
        return hidden

    return Torso(widths[-1], features)


def mlp_numpy(settings: MLP, task_spec: TaskSpec) -> NumpyTorso:
    """`mlp` on NumPy arrays."""
    layers, normalized = hidden_layers(settings)[:-1], normalized_keys(settings, task_spec)

    def features(weights: Weights, observation: dict[str, np.ndarray]) -> np.ndarray:
        x = encoding.encode_numpy(observation, task_spec, normalizers_numpy(weights, normalized))
        for layer in layers:
            x = dense_numpy(weights, layer.name, x, layer.activation)
        return x

    return features


def hidden_layers(settings: MLP) -> list[Hidden]:
    return [Hidden(f"hidden_{i}", units, settings.activation) for i, units in enumerate(settings.hidden_units)]
