"""The residual network of Espeholt et al. 2018 (IMPALA), with the additions of Clark et al. 2024 (BTR)."""

from collections.abc import Callable
from functools import partial
from math import ceil

import tensorflow as tf

from tfdqn.config import Impala
from tfdqn.networks import encoding
from tfdqn.networks.layers.plain import Layer, LayerFactory
from tfdqn.networks.task_fit import IMPALA_PIXELS, image_of
from tfdqn.networks.torsos.torso import Hidden, Observation, Torso, normalization
from tfdqn.task_spec import TaskSpec


def impala(settings: Impala, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    """Espeholt et al. 2018, figure 3, right: three sections of 16, 32 and 32 channels, then ReLU and a dense layer.

    Each section is a convolution, a max-pooling 3×3/2 and two residual blocks, of two convolutions each; every
    convolution is 3×3. `width` multiplies the channels, `spectral_norm` applies to the blocks.
    """
    key, height, width, channels = image_of(task_spec, "impala", least=IMPALA_PIXELS)
    sections = []
    for i, filters in enumerate((16, 32, 32)):
        sections.append(_section(settings, make, f"section_{i}", channels, filters * settings.width))
        height, width, channels = ceil(height / 2), ceil(width / 2), filters * settings.width
    activate = _relu(settings, make, "sections", channels)
    pool = partial(adaptive_max_pool, size=settings.adaptive_pooling)
    if settings.adaptive_pooling:
        height = width = settings.adaptive_pooling
    flatten = make.flatten(height, width, channels)

    def features(observation: Observation) -> tf.Tensor:
        hidden = encoding.encode_image(observation[key], task_spec.observation[key])
        for section in sections:
            hidden = section(hidden)
        hidden = activate(hidden)
        return flatten(_of_each(hidden, pool) if settings.adaptive_pooling else hidden)

    return Torso(height * width * channels, features)


def adaptive_max_pool(images: tf.Tensor, size: int) -> tf.Tensor:
    """Pools images float32[B, H, W, C] to maxima float32[B, size, size, C].

    Cell i covers the pixels ⌊i H / size⌋ to ⌈(i + 1) H / size⌉ − 1, so that neighbours may overlap, as in PyTorch's
    AdaptiveMaxPool2d.
    """
    for axis in (1, 2):
        length = images.shape[axis]
        cells = [range(i * length // size, ceil((i + 1) * length / size)) for i in range(size)]
        images = tf.stack([tf.reduce_max(tf.gather(images, cell, axis=axis), axis) for cell in cells], axis)
    return images


def _section(settings: Impala, make: LayerFactory, name: str, channels_in: int, filters: int) -> Layer:
    layer = make.padded_conv(f"{name}_conv", filters, 3, channels_in=channels_in)
    blocks = [_block(settings, make, f"{name}_block_{i}", filters) for i in range(2)]

    def section(images: tf.Tensor) -> tf.Tensor:
        images = _of_each(layer(images), lambda each: tf.nn.max_pool2d(each, 3, 2, "SAME"))
        for block in blocks:
            images += block(images)
        return images

    return section


def _block(settings: Impala, make: LayerFactory, name: str, filters: int) -> Layer:
    """Makes what a residual block adds to its input: ReLU, convolution, ReLU, convolution."""
    layers: list[Layer] = []
    for i in range(2):
        conv = f"{name}_conv_{i}"
        layers.append(_relu(settings, make, conv, filters))
        layers.append(make.padded_conv(conv, filters, 3, channels_in=filters, is_spectral=settings.spectral_norm))

    def block(images: tf.Tensor) -> tf.Tensor:
        for layer in layers:
            images = layer(images)
        return images

    return block


def _relu(settings: Impala, make: LayerFactory, name: str, channels: int) -> Layer:
    return normalization(make, Hidden(name, channels, "relu")) if settings.layer_norm else tf.nn.relu


def _of_each(images: tf.Tensor, function: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Applies a function of images float32[B, H, W, C] to these, or to those of an ensemble, float32[K, B, H, W, C]."""
    if images.shape.rank == 4:
        return function(images)
    outputs = function(tf.reshape(images, [-1, *images.shape[2:]]))
    return tf.reshape(outputs, [images.shape[0], -1, *outputs.shape[1:]])
