"""The mathematics of quantiles, which QR-DQN and IQN share: pure functions of tensors."""

import tensorflow as tf

from tfdqn.agents.losses.td import huber_loss


def midpoints(count: int) -> tf.Tensor:
    """τ̂_i = (i + ½) / N float32[N]: Dabney et al. 2018a, lemma 2."""
    return (tf.range(count, dtype=tf.float32) + 0.5) / count


def pairwise_errors(theta_tm1: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """δ_ij = target j minus θ_i, float32[…, B, N, N'], of float32[…, B, N] and targets float32[…, B, N']."""
    return target[..., tf.newaxis, :] - theta_tm1[..., tf.newaxis]


def quantile_huber_loss(errors: tf.Tensor, tau_tm1: tf.Tensor, kappa: float) -> tf.Tensor:
    """Σ_i mean_j |τ_i − 1[δ_ij < 0]| L_κ(δ_ij) float32[…, B]: Dabney et al. 2018a, equation 10 and algorithm 1.

    Args:
      errors: δ float32[…, B, N, N'], as `pairwise_errors` gives them.
      tau_tm1: the fraction τ_i that each θ_i is the quantile at, float32[N] or [B, N].
      kappa: up to where L is quadratic; 0: it is |δ|.
    """
    weight = tf.abs(tau_tm1[..., tf.newaxis] - tf.cast(errors < 0, tf.float32))
    loss = huber_loss(errors, kappa) if kappa else tf.abs(errors)
    return tf.reduce_sum(tf.reduce_mean(weight * loss, axis=-1), axis=-1)
