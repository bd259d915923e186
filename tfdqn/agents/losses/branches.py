"""Branches: several action dimensions, each with its own Q-values, and one target for all of them.

Tavakoli, Pardo and Kormushev 2018, 'Action branching architectures for deep reinforcement learning', equations 6 to 8.
For D dimensions, with Double DQN's choice of the next action in each, and ℓ in place of the square:

y = r + γ 1/D Σ_d Q⁻_d(s', argmax_a' Q_d(s', a'))
L = 1/D Σ_d ℓ(y − Q_d(s, a_d))
e = Σ_d |y − Q_d(s, a_d)|, the error for priorities

Any loss that takes the value of s' from `networks.greedy_value`, and returns `td.td_output`, also works with branches.
"""

import tensorflow as tf

from tfdqn.agents.loss import GreedyValue, LossOutput


def mean_value(greedy_value: GreedyValue) -> GreedyValue:
    """Makes a function that averages a value over dimensions: Q float32[…, B, D, A] → the value of s' float32[…, B]."""
    return lambda q_t, q_select_t, legal_t: tf.reduce_mean(greedy_value(q_t, q_select_t, legal_t), axis=-1)


def over_branches(output: LossOutput) -> LossOutput:
    """Reduces each dimension's loss, TD error and Q(s, a_d), float32[…, B, D], to those of each example."""
    return LossOutput(
        tf.reduce_mean(output.loss, axis=-1),
        tf.reduce_sum(tf.abs(output.td_error), axis=-1),
        output.q_tm1,
        tf.reduce_mean(output.q_value, axis=-1),
    )
