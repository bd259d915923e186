"""The mathematics of distributions over fixed atoms: pure functions of tensors."""

import numpy as np
import tensorflow as tf


def project(atoms: tf.Tensor, probabilities: tf.Tensor, support: np.ndarray) -> tf.Tensor:
    """Projects distributions onto `support`: Φ of Bellemare et al. 2017, equation 7.

    The probability of each atom is divided between the two neighbouring values of the support, in proportion to their
    proximity; beyond the ends of the support it goes to the end.

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
