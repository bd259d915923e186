"""`Explorer`: chooses actions by Q-values, with schedules of epsilon or temperature and a ladder over environments.

The functions are pure NumPy, apart from the generator that is passed in.
"""

import numpy as np

from tfdqn import config
from tfdqn.networks.best_actions import greedy_numpy, only_legal_numpy
from tfdqn.types import LegalActions, Rng


def scheduled(settings: config.Exploration, env_steps: int) -> float:
    """The epsilon or temperature after `env_steps` environment steps; it decays linearly or exponentially."""
    start, end, fraction = settings.start, settings.end, min(env_steps / settings.decay_env_steps, 1.0)
    if settings.decay == "exponential":
        return float(start * (end / start) ** fraction)
    return start + (end - start) * fraction


def ladder_exponents(num_envs: int, alpha: float) -> np.ndarray:
    """The exponents 1 + alpha i / (E - 1) of epsilon, float64[E], for each environment i.

    Horgan et al. 2018, section 4.1.
    """
    return 1 + alpha * np.linspace(0, 1, num_envs)


def epsilon_greedy(q_values: np.ndarray, legal_actions: LegalActions, epsilons: np.ndarray, rng: Rng) -> np.ndarray:
    """Draws actions int32[B]: with probability epsilons[b] a uniformly random legal one, else the greedy one.

    With branches, i.e. Q-values [B, D, A] and epsilons [B, 1], each dimension draws by itself: int32[B, D].
    """
    actions = greedy_numpy(q_values, legal_actions)
    explores = rng.random(len(actions) if actions.ndim == 1 else actions.shape) < epsilons
    random_actions = uniform(q_values.shape, legal_actions, rng)
    return np.where(explores, random_actions, actions)


def boltzmann(q_values: np.ndarray, legal_actions: LegalActions, temperature: float, rng: Rng) -> np.ndarray:
    """Draws actions from softmax(Q / temperature) over the legal ones, by the Gumbel trick; int32[B], or [B, D]."""
    gumbel = rng.gumbel(size=q_values.shape)
    q = only_legal_numpy(q_values, legal_actions).astype(np.float64)
    with np.errstate(over="ignore"):  # -inf is right for an action far below the best one, whose own number is 0
        logits = (q - q.max(axis=-1, keepdims=True)) / temperature
    return greedy_numpy(logits + gumbel, legal_actions)


def uniform(shape: tuple[int, ...], legal_actions: LegalActions, rng: Rng) -> np.ndarray:
    """Draws uniformly random legal actions: int32[B] for Q-values of shape [B, A], int32[B, D] for [B, D, A]."""
    if legal_actions is None:
        if len(shape) == 2:  # for NumPy, an integer as size is faster than a tuple
            return rng.integers(shape[1], size=shape[0], dtype=np.int32)
        return rng.integers(shape[-1], size=shape[:-1], dtype=np.int32)
    return greedy_numpy(rng.random(shape), legal_actions)


class Explorer:
    """Chooses the actions of a batch of environments from their Q-values.

    Args:
      settings: how to explore; None: always choose the best legal action.
      num_envs: B if it explores, for the epsilon ladder.
      actors: the number of actors; the ladder extends over the environments of all.
      all_legal: for branches, the actions that exist, bool[*mask_shape], if a step has no mask; else None.
    """

    def __init__(
        self,
        settings: config.Exploration | None = None,
        num_envs: int = 1,
        actor: int = 0,
        actors: int = 1,
        all_legal: np.ndarray | None = None,
    ):
        self.settings, self._all_legal = settings, all_legal
        ladder_alpha = settings.ladder_alpha if isinstance(settings, config.EpsilonGreedy) else 0.0
        ladder = ladder_exponents(actors * num_envs, ladder_alpha)
        self.exponents = ladder[actor * num_envs : (actor + 1) * num_envs]
        if all_legal is not None:
            self.exponents = self.exponents[:, np.newaxis]  # an environment's is the same for all its branches

    def choose(self, q_values: np.ndarray, legal_actions: LegalActions, rng: Rng, env_steps: int) -> np.ndarray:
        """Returns actions int32[B], or [B, D]; arguments as of `Policy.__call__`."""
        if self.settings is None:
            return greedy_numpy(q_values, legal_actions)
        strength = scheduled(self.settings, env_steps)
        if legal_actions is None:
            legal_actions = self._all_legal
        if isinstance(self.settings, config.Boltzmann):
            return boltzmann(q_values, legal_actions, strength, rng)
        return epsilon_greedy(q_values, legal_actions, strength**self.exponents, rng)


GREEDY = Explorer()  # which does not explore
