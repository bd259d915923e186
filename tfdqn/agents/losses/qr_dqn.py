"""QR-DQN: Dabney, Rowland, Bellemare and Munos 2018, 'Distributional reinforcement learning with quantile regression'.

Σ_i mean_j |τ̂_i − 1[δ_ij < 0]| L_κ(δ_ij), δ_ij = r + γ θ⁻_j(s', a*) − θ_i(s, a): their equation 10 and algorithm 1, with
the midpoints τ̂ of N equal parts, and a* the best action by the mean over the quantiles.
"""

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.quantiles import quantile_output, target_quantiles
from tfdqn.config import QRDQN
from tfdqn.networks.heads.quantile import midpoints


def qr_dqn(settings: QRDQN, networks: Networks, batch: Batch) -> LossOutput:
    """Computes the quantile regression loss to the target's N quantiles."""
    theta_tm1 = networks.online.outputs(batch.observation_tm1)
    theta_t = networks.target.outputs(batch.observation_t)
    target = target_quantiles(settings, networks, batch, theta_t, networks.target.head.q_values(theta_t))
    return quantile_output(theta_tm1, midpoints(settings.quantiles), target, batch.action_tm1, settings.huber_kappa)
