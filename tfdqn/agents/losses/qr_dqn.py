"""QR-DQN: Dabney, Rowland, Bellemare and Munos 2018, 'Distributional reinforcement learning with quantile regression'.

Σ_i mean_j |τ̂_i − 1[δ_ij < 0]| L_κ(δ_ij), δ_ij = r + γ θ⁻_j(s', a*) − θ_i(s, a): their equation 10 and algorithm 1, with
the midpoints τ̂ of N equal parts, and a* the best action by the mean over the quantiles. The functions below also serve
IQN, whose fractions are random.
"""

from collections.abc import Callable

import tensorflow as tf

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.munchausen import log_policy_bonus, soft_quantiles
from tfdqn.agents.losses.td import row_of_action, value_of_action
from tfdqn.config import QRDQN, QuantileAgent
from tfdqn.networks.best_actions import greedy
from tfdqn.networks.heads.quantile import midpoints


def quantile_regression(
    theta_tm1: tf.Tensor, target: tf.Tensor, tau_tm1: tf.Tensor, kappa: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes Σ_i mean_j |τ_i − 1[δ_ij < 0]| L_κ(δ_ij), with δ_ij = y_j − θ_i, and mean_ij |δ_ij|.

    Dabney et al. 2018a, equation 10 and algorithm 1. The gradient of the first by θ_i is defined here, so that the
    backward pass needs no array of all pairs: −mean_j |τ_i − 1[δ_ij < 0]| L'_κ(δ_ij), where L'_κ is δ clipped to ±κ.
    No gradient flows from the second, nor to target and τ.

    Args:
      theta_tm1: the predictions θ float32[…, B, N].
      target: y float32[…, B, N'].
      tau_tm1: the fractions τ_i whose quantiles the θ_i are, float32[N] or [B, N].
      kappa: the |δ| up to which L is quadratic; 0: L is |δ|.

    Returns:
      (the loss, the mean absolute error), float32[…, B] both.
    """

    @tf.custom_gradient
    def regression(theta_tm1: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[..., tf.Tensor]]:
        errors = target[..., tf.newaxis, :] - theta_tm1[..., tf.newaxis]
        tau = tau_tm1[..., tf.newaxis]
        clipped = tf.clip_by_value(errors, -kappa, kappa)
        slopes = tf.where(errors < 0, 1 - tau, tau) * (clipped if kappa else tf.sign(errors))
        slope = tf.reduce_mean(slopes, axis=-1)
        losses = tf.reduce_mean(slopes * (errors - 0.5 * clipped), axis=-1)
        absolute = tf.reduce_mean(tf.abs(errors), axis=-1)
        outputs = tf.reduce_sum(losses, axis=-1), tf.reduce_mean(absolute, axis=-1)
        return outputs, lambda by_loss, _: -by_loss[..., tf.newaxis] * slope

    return regression(theta_tm1)


def target_quantiles(
    settings: QuantileAgent, networks: Networks, batch: Batch, quantiles_t: tf.Tensor, q_t: tf.Tensor
) -> tf.Tensor:
    """Computes the quantiles of the target, float32[…, B, N'].

    They are r + γ Z_j(s', a*), where a* is the best action by `q_t` or, if `agent.target` is "double", by the online
    network; if that is "munchausen", they are Munchausen's, with a soft policy and a bonus.

    Args:
      settings, networks, batch: as of a `Loss`.
      quantiles_t: the target network's quantiles at s', float32[…, B, A, N'].
      q_t: its Q(s', ·) float32[…, B, A].
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
    """`quantile_regression` of the actions taken, of predictions float32[…, B, A, N] and targets float32[…, B, N'].

    No gradient flows through the targets. The TD error is the mean over all pairs of |δ_ij|, Q the mean over quantiles.
    """
    loss, error = quantile_regression(row_of_action(quantiles_tm1, action_tm1), target, tau_tm1, kappa)
    q_tm1 = tf.reduce_mean(quantiles_tm1, axis=-1)
    return LossOutput(loss, error, q_tm1, value_of_action(q_tm1, action_tm1))


def qr_dqn(settings: QRDQN, networks: Networks, batch: Batch) -> LossOutput:
    """Computes the quantile regression loss to the target's N quantiles."""
    theta_tm1 = networks.online.outputs(batch.observation_tm1)
    theta_t = networks.target.outputs(batch.observation_t)
    target = target_quantiles(settings, networks, batch, theta_t, networks.target.head.q_values(theta_t))
    return quantile_output(theta_tm1, midpoints(settings.quantiles), target, batch.action_tm1, settings.huber_kappa)
