"""`Sequences`: a batch of sequences from replay, from which networks with a memory learn."""

from typing import NamedTuple

import tensorflow as tf

from tfdqn.networks.torsos.torso import Observation


class Sequences(NamedTuple):
    """B sequences, each of L = l + m + n consecutive observations: l for burn-in, m to learn from, and n more.

    Step i of the m is taken at observation l + i, and its n-step transition ends at observation l + i + steps[i]. If an
    episode starts later or ends earlier, there is padding before or after it: zeros, which no loss counts.
    """

    observation: Observation  # each [B, L, …]
    first: tf.Tensor  # int32[B] <= l: the index of the first observation that isn't padding
    state: tf.Tensor  # float32[B, S]: the acting network's state before that observation
    action: tf.Tensor  # int32[B, m], with branches [B, m, D]
    reward: tf.Tensor  # float32[B, m], n-step
    discount: tf.Tensor  # float32[B, m], γ^k, or 0 if the episode terminated
    steps: tf.Tensor  # int32[B, m]: k <= n; 0 for padding
    legal_tm1: tf.Tensor | None  # bool[B, m, A], with branches [B, m, D, A]; None: all actions are legal
    legal_t: tf.Tensor | None
