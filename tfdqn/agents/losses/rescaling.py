"""Values on a smaller scale: Pohlen et al. 2018, 'Observe and look further: achieving consistent performance on Atari'.

h(x) = sign(x) (√(|x| + 1) − 1) + ε x, of section 3.2, and its inverse (proposition A.2):

h⁻¹(x) = sign(x) (((√(1 + 4ε (|x| + 1 + ε)) − 1) / (2ε))² − 1)

Both are computed without differences of nearly equal numbers, which in float32 would cost four digits.
"""

import tensorflow as tf


def rescaled(x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """h(x) float32[…], as √(|x| + 1) − 1 = |x| / (√(|x| + 1) + 1)."""
    return x / (tf.sqrt(tf.abs(x) + 1) + 1) + epsilon * x


def unscaled(x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """h⁻¹(x) float32[…]: with root = √(1 + 4ε (|x| + 1 + ε)), the square's base is 1 + |x| · slope, below."""
    root = tf.sqrt(1 + 4 * epsilon * (tf.abs(x) + 1 + epsilon))
    slope = (2 - 4 * epsilon / (root + 1 + 2 * epsilon)) / (root + 1)
    return x * slope * (tf.abs(x) * slope + 2)
