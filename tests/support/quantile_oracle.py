"""The losses of quantiles word for word, one example at a time, in float64."""

import numpy as np

from tfdqn.config import QuantileAgent


def soft_policy(q: np.ndarray, legal: np.ndarray, temperature: float) -> dict[int, float]:
    """π(a) of the legal actions."""
    actions = np.flatnonzero(legal).tolist()
    weights = {a: float(np.exp((q[a] - max(q[actions])) / temperature)) for a in actions}
    return {a: weight / sum(weights.values()) for a, weight in weights.items()}


def targets(
    settings: QuantileAgent,
    reward: float,
    discount: float,
    z_t: np.ndarray,
    q_t: np.ndarray,
    q_select_t: np.ndarray,
    legal_t: np.ndarray,
    q_tm1: np.ndarray,
    action: int,
    legal_tm1: np.ndarray,
) -> list[float]:
    """N' of them, of z_t [A, N'] and Q of the target network; `q_select_t` is the online network's."""
    tau = settings.temperature
    if settings.target == "munchausen":
        log_policy = tau * np.log(soft_policy(q_tm1, legal_tm1, tau)[action])
        reward += settings.log_policy_scale * min(max(log_policy, settings.log_policy_floor), 0.0)
        policy = soft_policy(q_t, legal_t, tau)
        values = [sum(p * (z_t[a, j] - tau * np.log(p)) for a, p in policy.items() if p) for j in range(z_t.shape[1])]
    else:
        q = q_select_t if settings.target == "double" else q_t
        best = max(np.flatnonzero(legal_t).tolist(), key=lambda a: q[a])
        values = z_t[best].tolist()
    return [reward + discount * value for value in values]


def regression(tau: np.ndarray, theta: np.ndarray, target: list[float], kappa: float) -> tuple[float, float]:
    """(Σ_i mean_j |τ_i − 1[δ < 0]| L_κ(δ), mean |δ|)."""
    loss, absolute = 0.0, 0.0
    for i, prediction in enumerate(theta):
        for y in target:
            error = y - prediction
            huber = error**2 / 2 if abs(error) <= kappa else kappa * (abs(error) - kappa / 2)
            weight = 1 - tau[i] if error < 0 else tau[i]
            loss += weight * (huber if kappa else abs(error)) / len(target)
            absolute += abs(error) / (len(target) * len(theta))
    return loss, absolute
