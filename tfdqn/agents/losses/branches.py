"""Branches: several action dimensions, each with Q-values of its own, and one target for all of them.

Tavakoli, Pardo and Kormushev 2018, 'Action branching architectures for deep reinforcement learning', equations 6 to 8.
Of D dimensions, with Double DQN's choice of the next action in each, here ℓ for the square:

y = r + γ 1/D Σ_d Q⁻_d(s', argmax_a' Q_d(s', a'))
L = 1/D Σ_d ℓ(y − Q_d(s, a_d))
e = Σ_d |y − Q_d(s, a_d)|, by which examples are sampled

Any loss that asks `networks.greedy_value` what s' is worth, and ends in `td.td_output`, is one of branches as well.
"""

import tensorflow as tf

from tfdqn.agents.loss import GreedyValue, LossOutput


def mean_value(greedy_value: GreedyValue) -> GreedyValue:
    """The value of s' float32[…, B] by Q float32[…, B, D, A]: the mean over the dimensions of each one's own."""
    return lambda q_t, q_select_t, legal_t: tf.reduce_mean(greedy_value(q_t, q_select_t, legal_t), axis=-1)


def over_branches(output: LossOutput) -> LossOutput:
    """Of loss, TD error and Q(s, a_d) float32[…, B, D] of every dimension, what is each example's: float32[…, B]."""
    return LossOutput(
        tf.reduce_mean(output.loss, axis=-1),
        tf.reduce_sum(tf.abs(output.td_error), axis=-1),
        output.q_tm1,
        tf.reduce_mean(output.q_value, axis=-1),
    )
