"""The mathematics of temporal differences: pure functions, most of which take only tensors.

Time convention: `_tm1` is the state acted in, `_t` the state k <= n steps later. Rewards r_t are n-step returns, and
discounts γ^k, or 0 if the episode terminated. Q-values may have a leading axis of an ensemble's K members, [K, B, A];
what is computed from them then has it too, [K, B].

With D branches, actions are int32[B, D], and Q-values float32[…, B, D, A]: Tavakoli, Pardo and Kormushev 2018, 'Action
branching architectures for deep reinforcement learning', equations 6 to 8. With Double DQN's choice of the next action
in each dimension, and ℓ in place of the square:

y = r + γ 1/D Σ_d Q⁻_d(s', argmax_a' Q_d(s', a'))
L = 1/D Σ_d ℓ(y − Q_d(s, a_d))
e = Σ_d |y − Q_d(s, a_d)|, the error for priorities

Any loss that takes the value of s' from `networks.greedy_value`, and returns `td_output`, also works with branches.
"""

import tensorflow as tf

from tfdqn.agents.loss import Batch, GreedyValue, LossOutput
from tfdqn.config import TDAgent
from tfdqn.networks.best_actions import Aggregation, aggregate, greedy, only_legal


def value_of_action(q: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
    """Selects Q(s, a): q float32[…, B, A], action int32[…, B] → float32[…, B].

    It is a one-hot product, because XLA doesn't fuse a gather, and sharded tensors don't allow one.
    """
    q.shape.with_rank_at_least(2)
    action.shape.with_rank_at_least(1)
    return tf.reduce_sum(q * tf.one_hot(action, q.shape[-1]), axis=-1)


def row_of_action(outputs: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
    """Selects an action's M numbers: outputs float32[…, B, A, M], action int32[…, B] → float32[…, B, M]."""
    return tf.reduce_sum(outputs * tf.one_hot(action, outputs.shape[-2])[..., tf.newaxis], axis=-2)


def greedy_value(q_t: tf.Tensor, q_select_t: tf.Tensor, legal_t: tf.Tensor | None) -> tf.Tensor:
    """Q⁻(s', argmax_a Q(s', a)) float32[…, B], given both float32[…, B, A]; the maximum if they are the same tensor.

    The argmax is the first of equal values, as in NumPy.
    """
    if q_select_t is q_t:
        return tf.reduce_max(only_legal(q_t, legal_t), axis=-1)
    return value_of_action(q_t, greedy(q_select_t, legal_t))


def mean_value(greedy_value: GreedyValue) -> GreedyValue:
    """Makes a function that averages a value over dimensions: Q float32[…, B, D, A] → the value of s' float32[…, B]."""
    return lambda q_t, q_select_t, legal_t: tf.reduce_mean(greedy_value(q_t, q_select_t, legal_t), axis=-1)


def aggregate_value(
    q_t: tf.Tensor, q_select_t: tf.Tensor, legal_t: tf.Tensor | None, aggregation: Aggregation
) -> tf.Tensor:
    """V⁻(s', a*) float32[B], which all members of an ensemble share; both Qs are float32[K, B, A].

    a* is the ensemble's action by `q_select_t`: the target networks' for DQN, the online networks' for Double DQN.
    V⁻ is the minimum over the target networks (Lan et al. 2020, Maxmin Q-learning), or for the other aggregations their
    mean (Anschel et al. 2017, ensemble DQN).
    """
    action_t = greedy(aggregate(q_select_t, legal_t, aggregation), legal_t)
    values_t = aggregate(q_t, legal_t, "minimum" if aggregation == "minimum" else "mean")
    return value_of_action(values_t, action_t)


def squared_loss(td_error: tf.Tensor) -> tf.Tensor:
    """δ² / 2 of TD errors float32[…], whose gradient is δ itself."""
    return 0.5 * tf.square(td_error)


def huber_loss(td_error: tf.Tensor, delta: float) -> tf.Tensor:
    """δ² / 2 for |δ| <= delta, else delta (|δ| − delta / 2): its gradient is the clipped error of Mnih et al. 2015."""
    absolute = tf.abs(td_error)
    quadratic = tf.minimum(absolute, delta)
    return 0.5 * tf.square(quadratic) + delta * (absolute - quadratic)


def rescaled(x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Values on a smaller scale, float32[…]: h(x) = sign(x) (√(|x| + 1) − 1) + ε x of Pohlen et al. 2018, section 3.2.

    It is computed as √(|x| + 1) − 1 = |x| / (√(|x| + 1) + 1): a difference of nearly equal numbers would cost four
    digits in float32.
    """
    return x / (tf.sqrt(tf.abs(x) + 1) + 1) + epsilon * x


def unscaled(x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """The inverse of `rescaled`, float32[…]: Pohlen et al. 2018, proposition A.2.

    h⁻¹(x) = sign(x) (((√(1 + 4ε (|x| + 1 + ε)) − 1) / (2ε))² − 1). With root for the root, the square's base is
    1 + |x| · slope, below.
    """
    root = tf.sqrt(1 + 4 * epsilon * (tf.abs(x) + 1 + epsilon))
    slope = 2 / (root + 1 + 2 * epsilon)
    return x * slope * (tf.abs(x) * slope + 2)


def td_target(settings: TDAgent, batch: Batch, value_t: tf.Tensor) -> tf.Tensor:
    """The target r + γ V(s') float32[…, B], or h(r + γ h⁻¹(V(s'))) if `agent.value_rescaling` is on."""
    epsilon = settings.value_rescaling
    if not epsilon:
        return batch.r_t + batch.discount_t * value_t
    return rescaled(batch.r_t + batch.discount_t * unscaled(value_t, epsilon), epsilon)


def td_output(settings: TDAgent, target: tf.Tensor, q_tm1: tf.Tensor, action_tm1: tf.Tensor) -> LossOutput:
    """Computes the loss that `agent.loss` names for targets float32[…, B], through which no gradient flows."""
    has_branches = action_tm1.shape.rank > 1
    q_value = value_of_action(q_tm1, action_tm1)
    td_error = tf.stop_gradient(target[..., tf.newaxis] if has_branches else target) - q_value
    is_huber = settings.loss == "huber"
    loss = huber_loss(td_error, settings.huber_delta) if is_huber else squared_loss(td_error)
    output = LossOutput(loss, td_error, q_tm1, q_value)
    return over_branches(output) if has_branches else output


def over_branches(output: LossOutput) -> LossOutput:
    """Reduces each dimension's loss, TD error and Q(s, a_d), float32[…, B, D], to those of each example."""
    return LossOutput(
        tf.reduce_mean(output.loss, axis=-1),
        tf.reduce_sum(tf.abs(output.td_error), axis=-1),
        output.q_tm1,
        tf.reduce_mean(output.q_value, axis=-1),
    )
