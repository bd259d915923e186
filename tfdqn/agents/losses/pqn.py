"""PQN: Gallici et al. 2024, 'Simplifying deep temporal difference learning', Q(λ) as in its algorithm 2.

y_t = r_t + γ ((1 − λ) max_a Q(s_{t+1}, a) + λ y_{t+1}), from the end of a rollout to its beginning, except

y_t = r_t                              at a termination,
y_t = r_t + γ max_a Q(s_{t+1}, a)      at a truncation and at the rollout's last step.

Q is the network that acted in the rollout: there is no target network. All y are computed before the first update.
"""

import numpy as np

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.td import td_output
from tfdqn.config import PQN


def lambda_returns(r_t: np.ndarray, discount_t: np.ndarray, v_t: np.ndarray, lambda_t: np.ndarray) -> np.ndarray:
    """Computes the λ-returns y_t of all steps, where step t led from s_t to s_{t+1}.

    Args:
      r_t: the rewards, float[T, …], and so all arguments.
      discount_t: γ; 0 if the step terminated the episode.
      v_t: max_a Q(s_{t+1}, a) over the legal actions.
      lambda_t: λ; 0 if s_{t+1} is the last of its episode, or nothing is known beyond it. The last step's is ignored.

    Returns:
      float64[T, …].
    """
    known = r_t + discount_t * (1.0 - lambda_t) * v_t
    decay = np.asarray(discount_t * lambda_t, np.float64)
    returns, ahead = np.empty(known.shape), np.asarray(v_t[-1], np.float64)
    for t in reversed(range(len(returns))):
        ahead = known[t] + decay[t] * ahead
        returns[t] = ahead
    return returns


def pqn(settings: PQN, networks: Networks, batch: Batch) -> LossOutput:
    """Computes the loss to the λ-return, which is the batch's `r_t`; the next state isn't used."""
    q_tm1 = networks.online(batch.observation_tm1)
    return td_output(settings, batch.r_t, q_tm1, batch.action_tm1)
