"""Exploration: schedules of epsilon or temperature, the ladder over environments, and the drawing of actions.

These are pure functions in NumPy, apart from the generator that is passed in.
"""

import numpy as np

from tfdqn import config
from tfdqn.networks.legal_actions import greedy_numpy


def scheduled(settings: config.Exploration, env_steps: int) -> float:
    """The epsilon or temperature after `env_steps` environment steps."""
    return decayed(settings.start, settings.end, settings.decay, env_steps / settings.decay_env_steps)


def decayed(start: float, end: float, shape: str, fraction: float) -> float:
    """Goes from `start` to `end` as `fraction` goes from 0 to 1, linearly or, if `shape` is so, exponentially."""
    fraction = min(max(fraction, 0.0), 1.0)
    if shape == "exponential":
        low = max(end, 1e-12)
        return float(max(start, low) * (low / max(start, low)) ** fraction)
    return start + (end - start) * fraction


def ladder_exponents(num_envs: int, alpha: float) -> np.ndarray:
    """The exponents 1 + alpha i / (E - 1) of epsilon, float64[E], for each environment i.

    Horgan et al. 2018, section 4.1.
    """
    positions = np.linspace(0, 1, num_envs) if num_envs > 1 else np.zeros(1)
    return 1 + alpha * positions


def epsilon_greedy(
    q_values: np.ndarray, legal_actions: np.ndarray | None, epsilons: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws actions int32[B]: with probability epsilons[b] a uniformly random legal one, else the greedy one.

    With branches, i.e. Q-values [B, D, A] and epsilons [B, 1], each dimension draws by itself: int32[B, D].
    """
    actions = greedy_numpy(q_values, legal_actions)
    explores = rng.random(len(actions) if actions.ndim == 1 else actions.shape) < epsilons
    random_actions = uniform(q_values.shape, legal_actions, rng)
    return np.where(explores, random_actions, actions)


def boltzmann(
    q_values: np.ndarray, legal_actions: np.ndarray | None, temperature: float, rng: np.random.Generator
) -> np.ndarray:
    """Draws actions from softmax(Q / temperature) over the legal ones, by the Gumbel trick; int32[B], or [B, D]."""
    return greedy_numpy(q_values / temperature + rng.gumbel(size=q_values.shape), legal_actions)


def uniform(shape: tuple[int, ...], legal_actions: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Draws uniformly random legal actions: int32[B] for Q-values of shape [B, A], int32[B, D] for [B, D, A]."""
    if legal_actions is None:
        if len(shape) == 2:  # for NumPy, an integer as size is faster than a tuple
            return rng.integers(shape[1], size=shape[0], dtype=np.int32)
        return rng.integers(shape[-1], size=shape[:-1], dtype=np.int32)
    return greedy_numpy(rng.random(shape), legal_actions)
