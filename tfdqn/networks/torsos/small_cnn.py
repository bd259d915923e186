"""The network of Young and Tian 2019, for images of a few cells."""

import numpy as np
import tensorflow as tf

from tfdqn.config import SmallCNN
from tfdqn.networks import encoding
from tfdqn.networks.layers.in_numpy import conv_numpy
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.task_fit import SMALL_CNN_PIXELS, image_of
from tfdqn.networks.torsos.torso import NumpyTorso, Observation, Torso, conv
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Weights


def small_cnn(settings: SmallCNN, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Young and Tian 2019, section 3: 16 filters of 3×3, then a dense layer."""
    key, height, width, channels = image_of(task_spec, "small_cnn", least=SMALL_CNN_PIXELS)
    layer = conv(make, settings, "conv_0", 16, 3, 1, channels)
    height, width = height - 2, width - 2
    flatten = make.flatten(height, width, 16)

    def features(observation: Observation) -> tf.Tensor:
        return flatten(layer(encoding.encode_image(observation[key], task_spec.observation[key])))

    return Torso(height * width * 16, features)


def small_cnn_numpy(settings: SmallCNN, task_spec: TaskSpec) -> NumpyTorso:
    """`small_cnn` on NumPy arrays."""
    key, *_ = image_of(task_spec, "small_cnn", least=SMALL_CNN_PIXELS)

    def features(weights: Weights, observation: dict[str, np.ndarray]) -> np.ndarray:
        x = conv_numpy(weights, "conv_0", encoding.encode_image_numpy(observation[key], task_spec.observation[key]))
        return x.reshape(*x.shape[:-3], -1)

    return features
