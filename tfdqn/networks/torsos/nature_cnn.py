"""The network of Mnih et al. 2015, for images of any size."""

import numpy as np
import tensorflow as tf

from tfdqn.config import NatureCNN
from tfdqn.networks import encoding
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.task_fit import NATURE_CNN_PIXELS, image_of
from tfdqn.networks.torsos.torso import Observation, Torso, conv
from tfdqn.task_spec import TaskSpec

# The receptive field and the stride of the three convolutions together, in pixels.
_FIELD, _STRIDE = NATURE_CNN_PIXELS, 8


def nature_cnn(settings: NatureCNN, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Mnih et al. 2015, Methods, 'Model architecture': 32 8×8/4, 64 4×4/2, 64 3×3/1, then a dense layer.

    An image whose sides these don't cover exactly is padded with zeros, so that every pixel affects Q; 84 × 84 isn't.
    """
    key, height, width, channels = image_of(task_spec, "nature_cnn", least=NATURE_CNN_PIXELS)
    margins = [(0, 0), _margin(height), _margin(width), (0, 0)]
    height, width = height + sum(margins[1]), width + sum(margins[2])
    convolutions = []
    for i, (filters, size, stride) in enumerate([(32, 8, 4), (64, 4, 2), (64, 3, 1)]):
        convolutions.append(conv(make, settings, f"conv_{i}", filters, size, stride, channels))
        height, width, channels = (height - size) // stride + 1, (width - size) // stride + 1, filters
    flatten = make.flatten(height, width, channels)

    def features(observation: Observation) -> tf.Tensor:
        hidden = encoding.encode_image(observation[key], task_spec.observation[key])
        if np.any(margins):
            hidden = tf.pad(hidden, margins)
        for layer in convolutions:
            hidden = layer(hidden)
        return flatten(hidden)

    return Torso(height * width * channels, features)


def _margin(length: int) -> tuple[int, int]:
    """The zeros to pad before and after `length` pixels, so that the convolutions cover all of them."""
    missing = (_FIELD - length) % _STRIDE
    return missing // 2, missing - missing // 2
