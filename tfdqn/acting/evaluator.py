"""Greedy episodes on environments of their own, and the `Evaluator` that owns 'best'."""

import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from tfdqn.acting.policy import Policy
from tfdqn.checkpoints import load_arrays, save_arrays
from tfdqn.config import Config
from tfdqn.errors import CheckpointError
from tfdqn.randomness import derived_seed, stream
from tfdqn.run_dir import write_atomically
from tfdqn.tasks.batched import BatchedTask
from tfdqn.variables import VariableClient, Weights

_RECORD = "evaluation"


class EpisodeScores(Struct, frozen=True, kw_only=True):
    """Statistics of finished greedy episodes. Returns are undiscounted sums of the task's own rewards."""

    episodes: int
    mean_return: float
    std_return: float
    median_return: float
    ci_low: float  # of the mean: 95 % percentile bootstrap
    ci_high: float
    mean_length: float  # environment steps


def play_episodes(
    task: BatchedTask, policy: Policy, weights: Weights, episodes: int, seed: int, on_frame=None
) -> tuple[np.ndarray, np.ndarray]:
    """Plays exactly `episodes` episodes; returns their returns float64[N] and lengths int64[N].

    Each environment plays a quota fixed beforehand: taking whichever finish first would favour short episodes.
    `on_frame`, if given, is called before every step (to film).
    """
    rng = stream(seed, "evaluation policy")
    quota = np.full(task.num_envs, episodes // task.num_envs)
    quota[: episodes % task.num_envs] += 1
    running_return, running_length = np.zeros(task.num_envs), np.zeros(task.num_envs, np.int64)
    returns: list[float] = []
    lengths: list[int] = []
    observation, legal_actions = task.reset(seed)
    policy_state: tuple = ()
    while quota.any():
        if on_frame is not None:
            on_frame()
        action, _, policy_state = policy(weights, observation, legal_actions, policy_state, rng)
        step = task.step(action)
        running_return += step.reward
        running_length += ~step.is_reset
        done = step.terminated | step.truncated
        for i in np.flatnonzero(done & (quota > 0)):
            returns.append(float(running_return[i]))
            lengths.append(int(running_length[i]))
        quota[done] = np.maximum(quota[done] - 1, 0)
        running_return[done], running_length[done] = 0, 0
        observation, legal_actions = step.observation, step.legal_actions
    return np.array(returns), np.array(lengths)


def scores(returns: np.ndarray, lengths: np.ndarray, seed: int = 0) -> EpisodeScores:
    """Mean, standard deviation, median and a bootstrap interval of episodes' returns."""
    resampled = stream(seed, "bootstrap").choice(returns, (2000, len(returns))).mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return EpisodeScores(
        episodes=len(returns),
        mean_return=float(returns.mean()),
        std_return=float(returns.std()),
        median_return=float(np.median(returns)),
        ci_low=float(low),
        ci_high=float(high),
        mean_length=float(lengths.mean()),
    )


class Evaluation(Struct, frozen=True, kw_only=True):
    """One evaluation during training."""

    train_steps: int  # of the weights evaluated
    scores: EpisodeScores
    is_best: bool


class Evaluator:
    """Evaluates the newest weights on its own environments and keeps the best.

    A new best must be borne out by further episodes, so that a lucky few do not crown a poor policy.

    Args:
      task: environments that nobody else steps.
      policy: greedy.
      client: fetches the newest weights.
      config: `evaluation`, and the seed.
    """

    def __init__(self, task: BatchedTask, policy: Policy, client: VariableClient, config: Config):
        self._task = task
        self._policy = policy
        self._client = client
        self._settings = config.evaluation
        self._seed = config.seed
        self.best_return: float | None = None
        self.best_weights: Weights | None = None
        self.evaluations_without_best = 0

    def evaluate(self) -> Evaluation:
        """Plays `evaluation.episodes`, and if they promise a new best, `confirm_episodes` more."""
        self._client.refresh()
        weights, version = self._client.weights, self._client.version
        returns, lengths = self._play(weights, self._settings.episodes, "evaluation", version)
        if self._beats_best(returns) and self._settings.confirm_episodes:
            more = self._play(weights, self._settings.confirm_episodes, "confirmation", version)
            returns, lengths = np.concatenate([returns, more[0]]), np.concatenate([lengths, more[1]])
        is_best = self._beats_best(returns)
        if is_best:
            self.best_return, self.best_weights = float(returns.mean()), weights
            self.evaluations_without_best = 0
        else:
            self.evaluations_without_best += 1
        return Evaluation(train_steps=version, scores=scores(returns, lengths), is_best=is_best)

    def final(self, weights: Weights) -> EpisodeScores:
        """Scores given weights on `final_episodes` fresh episodes."""
        return scores(*self._play(weights, self._settings.final_episodes, "final evaluation", 0))

    def save_best(self, path: Path, evaluation: Evaluation) -> None:
        """Keeps the best weights and what they scored in one file, and the scores beside it for people."""
        assert self.best_weights is not None
        record = msgspec.json.encode(evaluation)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(path, {**self.best_weights, _RECORD: np.frombuffer(record, np.uint8)})
        write_atomically(path.with_name("evaluation.json"), msgspec.json.format(record, indent=2))

    def load_best(self, path: Path) -> None:
        """Takes up the best that an earlier session kept, if there is one."""
        if path.exists():
            self.best_weights, evaluation = load_best(path)
            self.best_return = evaluation.scores.mean_return

    def close(self) -> None:
        self._task.close()

    def _play(self, weights: Weights, episodes: int, name: str, index: int) -> Any:
        seed = derived_seed(self._seed, name, index)
        return play_episodes(self._task, self._policy, weights, episodes, seed)

    def _beats_best(self, returns: np.ndarray) -> bool:
        return self.best_return is None or float(returns.mean()) > self.best_return


def load_best(path: Path) -> tuple[dict[str, np.ndarray], Evaluation]:
    """The best policy's weights by canonical name, and what they scored. Raises CheckpointError if damaged."""
    try:
        arrays = load_arrays(path)
        return arrays, msgspec.json.decode(arrays.pop(_RECORD).tobytes(), type=Evaluation)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise CheckpointError(f"{path}: the best policy's file is missing or damaged ({error})") from error
