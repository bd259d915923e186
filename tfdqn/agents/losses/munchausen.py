"""Munchausen DQN: Vieillard, Pietquin and Geist 2020, 'Munchausen reinforcement learning', equations 1 to 3.

With π = softmax(Q⁻ / τ), the policy of the target network, and [·] clipped to l0 and 0:

y = r + α [τ log π(a|s)] + γ Σ_a' π(a'|s') (Q⁻(s', a') − τ log π(a'|s'))

With quantiles Z_j (their M-IQN, appendix B.1), Z_j(s', a') replaces Q⁻(s', a') except in π, whose Q⁻ is their mean.
If n > 1, r is the n-step return, γ is γ^k, and the bonus is that of the first action, as in the authors' code.
"""

import tensorflow as tf

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.td import td_output, value_of_action
from tfdqn.config import Munchausen, QuantileAgent
from tfdqn.networks.best_actions import only_legal


def soft_value(q: tf.Tensor, legal_actions: tf.Tensor | None, temperature: float) -> tf.Tensor:
    """The soft value Σ_a π(a|s) (Q(s, a) − τ log π(a|s)) = τ log Σ_a exp(Q(s, a) / τ) over legal actions.

    `q` is Q(s, ·) float32[…, B, A], `legal_actions` bool[B, A], None: all are legal, `temperature` τ; returns
    float32[…, B].
    """
    below_largest, largest = _from_largest(q, legal_actions)
    return largest[..., 0] + _scaled_log_sum(below_largest, temperature)


def log_policy_of_action(
    q: tf.Tensor, action: tf.Tensor, legal_actions: tf.Tensor | None, temperature: float
) -> tf.Tensor:
    """τ log π(a|s) float32[…, B] <= 0 of legal actions int32[B]; other arguments as of `soft_value`."""
    below_largest, _ = _from_largest(q, legal_actions)
    return value_of_action(below_largest, action) - _scaled_log_sum(below_largest, temperature)


def log_policy_bonus(settings: Munchausen | QuantileAgent, q_tm1: tf.Tensor, batch: Batch) -> tf.Tensor:
    """The bonus α [τ log π(a|s)], clipped to l0 and 0, float32[…, B]; `q_tm1` is the target network's Q(s, ·)."""
    log_policy = log_policy_of_action(q_tm1, batch.action_tm1, batch.legal_tm1, settings.temperature)
    return settings.log_policy_scale * tf.clip_by_value(log_policy, settings.log_policy_floor, 0.0)


def soft_quantiles(
    quantiles: tf.Tensor, q: tf.Tensor, legal_actions: tf.Tensor | None, temperature: float
) -> tf.Tensor:
    """The soft values Σ_a π(a|s) (Z_j(s, a) − τ log π(a|s)) float32[…, B, N] of quantiles Z float32[…, B, A, N].

    Other arguments as of `soft_value`.
    """
    below_largest, _ = _from_largest(q, legal_actions)
    policy = tf.nn.softmax(below_largest / temperature)
    entropy = _scaled_log_sum(below_largest, temperature) - tf.reduce_sum(policy * below_largest, axis=-1)
    return tf.reduce_sum(policy[..., tf.newaxis] * quantiles, axis=-2) + entropy[..., tf.newaxis]


def munchausen(settings: Munchausen, networks: Networks, batch: Batch) -> LossOutput:
    """Computes the loss to the return plus the target network's scaled log-policy and soft value of the next state."""
    tau = settings.temperature
    q_tm1 = networks.online(batch.observation_tm1)
    policy_q_tm1 = networks.target(batch.observation_tm1)
    q_t = networks.target(batch.observation_t)
    bonus = log_policy_bonus(settings, policy_q_tm1, batch)
    target = batch.r_t + bonus + batch.discount_t * soft_value(q_t, batch.legal_t, tau)
    return td_output(settings, target, q_tm1, batch.action_tm1)._replace(metrics={"log_policy_bonus": bonus})


def _from_largest(q: tf.Tensor, legal_actions: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns q minus the largest legal one, float32[…, B, A], and that one, float32[…, B, 1], for precision."""
    legal_q = only_legal(q, legal_actions)
    largest = tf.reduce_max(legal_q, axis=-1, keepdims=True)
    return legal_q - largest, largest


def _scaled_log_sum(q: tf.Tensor, temperature: float) -> tf.Tensor:
    """τ log Σ_a exp(q / τ) of values whose largest is 0."""
    return temperature * tf.math.log(tf.reduce_sum(tf.exp(q / temperature), axis=-1))
