"""`Sequences`: what a network with a memory learns from, as replay hands it out."""

from typing import NamedTuple

import tensorflow as tf

from tfdqn.networks.torsos.torso import Observation


class Sequences(NamedTuple):
    """B stretches of an episode each, of L = l + m + n observations: l to burn in, m to learn from, n more.

    Step i of the m is taken at observation l + i, and its n-step transition ends at observation l + i + steps[i]. An
    episode that ends earlier leaves padding behind, one that began later leaves it in front: zeros, which no loss sees.
    """

    observation: Observation  # each [B, L, …]
    first: tf.Tensor  # int32[B] <= l: the first observation that is no padding
    state: tf.Tensor  # float32[B, S]: what the network that acted remembered before that one
    action: tf.Tensor  # int32[B, m]; [B, m, D] of branches
    reward: tf.Tensor  # float32[B, m], n-step
    discount: tf.Tensor  # float32[B, m], γ^k · (0 where the episode terminated)
    steps: tf.Tensor  # int32[B, m]: k <= n; 0 where there is no step, but padding
    legal_tm1: tf.Tensor | None  # bool[B, m, A], [B, m, D, A] of branches; None: all actions are legal
    legal_t: tf.Tensor | None
