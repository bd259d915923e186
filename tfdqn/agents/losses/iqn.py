"""IQN: Dabney et al. 2018b, 'Implicit quantile networks for distributional reinforcement learning'.

Σ_i mean_j |τ_i − 1[δ_ij < 0]| L_κ(δ_ij) / κ, δ_ij = r + γ Z⁻_{τ'_j}(s', a*) − Z_{τ_i}(s, a): their equations 2 and 3,
with N fractions τ_i and N' fractions τ'_j drawn from U([0, 1]) for each example. a* is the best action by the mean over
K midpoints; in the paper, over K more draws.
"""

import tensorflow as tf

from tfdqn.agents.loss import Batch, LossNetwork, LossOutput, Networks
from tfdqn.agents.losses.qr_dqn import quantile_output, target_quantiles
from tfdqn.config import IQN
from tfdqn.networks.heads.quantile import ImplicitQuantileHead, midpoints


def iqn(settings: IQN, networks: Networks, batch: Batch) -> LossOutput:
    """Computes the quantile regression loss at random fractions, for targets at other random fractions."""
    rows, online, target = tf.shape(batch.action_tm1)[0], networks.online.head, networks.target.head
    assert isinstance(online, ImplicitQuantileHead) and isinstance(target, ImplicitQuantileHead)
    tau_tm1 = fractions(networks.online, rows, settings.quantiles)
    z_tm1 = online.at(networks.online.features(batch.observation_tm1), tau_tm1, networks.online.noise())
    tau_t = fractions(networks.target, rows, settings.target_quantiles)
    features_t = networks.target.features(batch.observation_t)
    z_t = target.at(features_t, tau_t, networks.target.noise())
    q_t = target.q_values(target.outputs(features_t, networks.target.noise()))
    targets = target_quantiles(settings, networks, batch, z_t, q_t)
    output = quantile_output(z_tm1, tau_tm1, targets, batch.action_tm1, settings.huber_kappa)
    return output._replace(loss=output.loss / (settings.huber_kappa or 1.0))


def fractions(network: LossNetwork, rows: tf.Tensor, count: int) -> tf.Tensor:
    """Draws fractions τ float32[B, N]; without noise returns the midpoints float32[1, N]."""
    noise = network.noise()
    return tf.constant(midpoints(count))[tf.newaxis] if noise is None else noise.uniform(rows, count)
