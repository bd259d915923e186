"""Encodes observations as float32 features: casting, scaling, one-hot and flattening, in TensorFlow and in NumPy.

The encoding is part of the network, so that a served model takes the environment's observations. Integer categories
become one-hot vectors (all zero if out of range), bytes and images are divided by the bound of their space, everything
else is cast. The two versions agree to float32 rounding, which a test checks.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfdqn.task_spec import ArraySpec, TaskSpec
from tfdqn.types import Observation


def encode(
    observation: dict[str, tf.Tensor], task_spec: TaskSpec, normalize: Mapping[str, Callable] | None = None
) -> tf.Tensor:
    """Encodes an observation as flat features float32[B, F], its arrays in the order of the task's specification.

    `normalize` has a function for each array that is normalised, from float32[B, N] to the same or, for an ensemble, to
    [K, B, N]; the features are then float32[K, B, F].
    """
    parts = [_flat(observation[key], spec) for key, spec in task_spec.observation.items()]
    if normalize:
        parts = _normalized(parts, task_spec, normalize, tf.stack)
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)


def encode_numpy(
    observation: Observation, task_spec: TaskSpec, normalize: Mapping[str, Callable] | None = None
) -> np.ndarray:
    """`encode` on NumPy arrays, for acting without TensorFlow."""
    parts = [_flat_numpy(observation[key], spec) for key, spec in task_spec.observation.items()]
    if normalize:
        parts = _normalized(parts, task_spec, normalize, np.stack)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def encode_image(image: tf.Tensor, spec: ArraySpec) -> tf.Tensor:
    """Encodes an image, or a stack of frames, which become channels, as float32[B, H, W, C]."""
    pixels = _scaled(image, spec)
    if spec.frame_stack > 1:
        frames_last = [0, *range(2, pixels.shape.rank), 1]
        pixels = tf.transpose(pixels, frames_last)
    if pixels.shape.rank == 3:
        return pixels[..., tf.newaxis]
    return tf.reshape(pixels, [-1, *pixels.shape[1:3], math.prod(pixels.shape[3:])])


def encode_image_numpy(image: np.ndarray, spec: ArraySpec) -> np.ndarray:
    """`encode_image` on NumPy arrays."""
    pixels = _scaled_numpy(image, spec)
    if spec.frame_stack > 1:
        pixels = np.moveaxis(pixels, 1, -1)
    return pixels.reshape(*pixels.shape[:3], -1)


def size_of(spec: ArraySpec) -> int:
    """The number of elements of an array."""
    return math.prod(spec.shape)


def num_features(task_spec: TaskSpec) -> int:
    """F, the number of features that `encode` returns."""
    return sum(size_of(spec) * max(spec.categories, 1) for spec in task_spec.observation.values())


def _normalized(parts: list, task_spec: TaskSpec, normalize: Mapping[str, Callable], stack: Callable) -> list:
    """Normalises the parts for which there is a function; if that adds a leading axis K to one, adds it to all."""
    named = zip(task_spec.observation, parts, strict=True)
    parts = [normalize[key](part) if key in normalize else part for key, part in named]
    members = next((part.shape[0] for part in parts if len(part.shape) == 3), 0)
    return [stack([part] * members) if members and len(part.shape) == 2 else part for part in parts]


def _flat(array: tf.Tensor, spec: ArraySpec) -> tf.Tensor:
    if spec.categories:
        array = tf.one_hot(tf.cast(array, tf.int32) - spec.start, spec.categories)
    else:
        array = _scaled(array, spec)
    return tf.reshape(array, [-1, math.prod(array.shape[1:])])


def _scaled(array: tf.Tensor, spec: ArraySpec) -> tf.Tensor:
    array = tf.cast(array, tf.float32)
    return array * _scale(spec) if _is_scaled(spec) else array


def _flat_numpy(array: np.ndarray, spec: ArraySpec) -> np.ndarray:
    if spec.categories:
        return _one_hot(array, spec).reshape(len(array), -1)
    return _scaled_numpy(array, spec).reshape(len(array), -1)


def _scaled_numpy(array: np.ndarray, spec: ArraySpec) -> np.ndarray:
    array = array.astype(np.float32, copy=False)
    return array * _scale(spec) if _is_scaled(spec) else array


def _one_hot(array: np.ndarray, spec: ArraySpec) -> np.ndarray:
    """Encodes N elements as float32[N, categories], as `tf.one_hot` does: zeros if an element is out of range."""
    category = array.reshape(-1).astype(np.int32) - np.int32(spec.start)
    (known,) = np.nonzero((category >= 0) & (category < spec.categories))
    one_hot = np.zeros((len(category), spec.categories), np.float32)
    one_hot[known, category[known]] = 1
    return one_hot


def _is_scaled(spec: ArraySpec) -> bool:
    return spec.dtype == "uint8" or bool(spec.high)


def _scale(spec: ArraySpec) -> np.float32 | np.ndarray:
    """The factor by which the bound of an array's space becomes 1; float32[C] if the channels' bounds differ."""
    if len(spec.high) > 1:
        return (1 / np.maximum(spec.high, 1)).astype(np.float32)
    return np.float32(1 / max(spec.high[0], 1)) if spec.high else np.float32(1 / 255)
