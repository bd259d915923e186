"""`cos_pi`: a cosine made of multiplications and additions, which XLA vectorises on a CPU.

For `tf.cos`, XLA calls the C library for one number at a time.
"""

import math

import numpy as np
import tensorflow as tf

# Taylor coefficients of sin(π t) / t in powers of t². For |t| <= ½, float32 doesn't resolve a seventh term.
_COEFFICIENTS = [np.float32((-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1)) for k in range(6)]


def cos_pi(x: tf.Tensor) -> tf.Tensor:
    """cos(π x) for float32 of any shape, accurate to 2e-7 for every x: removing the period 2 needs no rounding."""
    t = 0.5 - tf.abs(x - 2.0 * tf.round(0.5 * x))  # cos(π x) = sin(π t)
    return t * tf.math.polyval(_COEFFICIENTS[::-1], tf.square(t))
