"""The mathematics of distributions over fixed atoms: pure functions of tensors."""

import numpy as np
import tensorflow as tf


def project(atoms: tf.Tensor, probabilities: tf.Tensor, support: np.ndarray) -> tf.Tensor:
    """Φ, the nearest distribution on `support`: Bellemare et al. 2017, equation 7.

    Each atom's probability goes to the two values of the support that it lies between, the more to the nearer; beyond
    the ends, all to the end.

    Args:
      atoms, probabilities: float32[…, B, M].
      support: float32[K], evenly spaced.

    Returns:
      float32[…, B, K].
    """
    spacing = (support[-1] - support[0]) / (len(support) - 1)
    within = tf.clip_by_value(atoms, support[0], support[-1])[..., tf.newaxis, :]
    share = tf.maximum(1 - tf.abs(within - support[:, np.newaxis]) / spacing, 0)
    return tf.linalg.matvec(share, probabilities)
