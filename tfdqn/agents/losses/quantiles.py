"""Quantile regression, which QR-DQN and IQN share: the loss of quantiles, and the quantiles of the target."""

import tensorflow as tf

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.munchausen import log_policy_bonus, soft_quantiles
from tfdqn.agents.losses.td import huber_loss, row_of_action, value_of_action
from tfdqn.config import QuantileAgent
from tfdqn.networks.legal_actions import greedy


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


def target_quantiles(
    settings: QuantileAgent, networks: Networks, batch: Batch, quantiles_t: tf.Tensor, q_t: tf.Tensor
) -> tf.Tensor:
    """The quantiles of the target float32[…, B, N'], of the target network's quantiles_t float32[…, B, A, N'] at s'.

    r + γ Z_j(s', a*), where a* is the best action by q_t, that network's Q(s', ·) float32[…, B, A], or by the online
    network's; or Munchausen's, with a soft policy and a bonus.
    """
    bonus = 0.0
    if settings.target == "munchausen":
        bonus = log_policy_bonus(settings, networks.target(batch.observation_tm1), batch)[..., tf.newaxis]
        values_t = soft_quantiles(quantiles_t, q_t, batch.legal_t, settings.temperature)
    else:
        q_select_t = networks.online(batch.observation_t) if settings.target == "double" else q_t
        values_t = row_of_action(quantiles_t, greedy(q_select_t, batch.legal_t))
    return batch.r_t[:, tf.newaxis] + bonus + batch.discount_t[:, tf.newaxis] * values_t


def quantile_output(
    quantiles_tm1: tf.Tensor, tau_tm1: tf.Tensor, target: tf.Tensor, action_tm1: tf.Tensor, kappa: float
) -> LossOutput:
    """`quantile_huber_loss` of the actions taken, of predictions float32[…, B, A, N] and targets float32[…, B, N'].

    No gradient flows through the targets. The TD error is the mean over all pairs of |δ_ij|, Q the mean over quantiles.
    """
    errors = pairwise_errors(row_of_action(quantiles_tm1, action_tm1), tf.stop_gradient(target))
    loss = quantile_huber_loss(errors, tau_tm1, kappa)
    q_tm1 = tf.reduce_mean(quantiles_tm1, axis=-1)
    return LossOutput(loss, tf.reduce_mean(tf.abs(errors), axis=(-2, -1)), q_tm1, value_of_action(q_tm1, action_tm1))
