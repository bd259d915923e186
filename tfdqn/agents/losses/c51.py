"""C51: Bellemare, Dabney and Munos 2017, 'A distributional perspective on reinforcement learning', algorithm 1.

The distribution of r + γ z_j, where z are the atoms and p_j(s', a*) their probabilities in the target network, is
projected onto the atoms (their equation 7), and the loss is its cross-entropy with p(s, a). a* is the best action by
the target network's means Q⁻(s', ·), or by the online network's if `agent.target` is "double".
"""

import numpy as np
import tensorflow as tf

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.td import row_of_action, value_of_action
from tfdqn.config import C51
from tfdqn.networks.best_actions import greedy
from tfdqn.networks.heads.categorical import support


def c51(settings: C51, networks: Networks, batch: Batch) -> LossOutput:
    """Computes the cross-entropy; the TD error is the KL divergence, which is 0 if the prediction is right."""
    head, atoms = networks.online.head, support(settings)
    logits_tm1 = networks.online.outputs(batch.observation_tm1)
    logits_t = networks.target.outputs(batch.observation_t)
    is_double = settings.target == "double"
    q_select_t = networks.online(batch.observation_t) if is_double else head.q_values(logits_t)
    probabilities = tf.nn.softmax(row_of_action(logits_t, greedy(q_select_t, batch.legal_t)))
    returns = batch.r_t[:, tf.newaxis] + batch.discount_t[:, tf.newaxis] * atoms
    target = tf.stop_gradient(project(returns, probabilities, atoms))
    log_predicted = tf.nn.log_softmax(row_of_action(logits_tm1, batch.action_tm1))
    loss = -tf.reduce_sum(target * log_predicted, axis=-1)
    entropy = -tf.reduce_sum(tf.math.xlogy(target, target), axis=-1)
    q_tm1 = head.q_values(logits_tm1)
    q_value = value_of_action(q_tm1, batch.action_tm1)
    return LossOutput(loss, loss - entropy, q_tm1, q_value, {"target_entropy": entropy})


def project(atoms: tf.Tensor, probabilities: tf.Tensor, support: np.ndarray) -> tf.Tensor:
    """Projects distributions onto `support`: Φ of Bellemare et al. 2017, equation 7.

    m_i = Σ_j max(1 − |clip(x_j, z_1, z_K) − z_i| / Δz, 0) p_j, for atoms x and probabilities p, float32[…, B, M] both,
    and the support z float32[K], spaced evenly by Δz: each probability is divided between the two nearest z in
    proportion to their proximity. Returns m float32[…, B, K].
    """
    spacing = (support[-1] - support[0]) / (len(support) - 1)
    within = tf.clip_by_value(atoms, support[0], support[-1])[..., tf.newaxis, :]
    share = tf.maximum(1 - tf.abs(within - support[:, np.newaxis]) / spacing, 0)
    return tf.linalg.matvec(share, probabilities)
