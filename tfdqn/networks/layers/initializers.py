"""Initialisers of layers' weights."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

Initializer = Callable[..., tf.Tensor]  # (shape, dtype) → the initial weight


def uniform(fan_in: int, seeds: np.random.SeedSequence) -> dict[str, Initializer]:
    """Makes the initialisers of a kernel and a bias, uniform in ±1/√fan_in, by the names of Keras's arguments.

    Each is seeded by a child of `seeds`.
    """
    bound = fan_in**-0.5
    kernel_seed, bias_seed = (int(child.generate_state(1)[0] >> 1) for child in seeds.spawn(2))
    return {
        "kernel_initializer": tf.keras.initializers.RandomUniform(-bound, bound, seed=kernel_seed),
        "bias_initializer": tf.keras.initializers.RandomUniform(-bound, bound, seed=bias_seed),
    }
