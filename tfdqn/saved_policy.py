"""A run's policies on disk: the best evaluated one with its scores, and the latest checkpoint's."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from tfdqn.checkpoints import Checkpoints, below, load_arrays, save_arrays
from tfdqn.durable import write_atomically
from tfdqn.errors import CheckpointError
from tfdqn.networks import Weights
from tfdqn.randomness import stream
from tfdqn.run_dir import RunDir

_RECORD = "evaluation"
_log = logging.getLogger(__name__)
_BOOTSTRAP_SAMPLES = 2_000
_BOOTSTRAP_ELEMENTS = 1_000_000  # drawn at a time


class EpisodeScores(Struct, frozen=True, kw_only=True):
    """Statistics of finished greedy episodes. Returns are undiscounted sums of the task's own rewards."""

    episodes: int
    mean_return: float
    std_return: float
    median_return: float
    ci_low: float  # of the mean: 95 % percentile bootstrap
    ci_high: float
    mean_length: float  # environment steps


class Evaluation(Struct, frozen=True, kw_only=True):
    """One evaluation during training."""

    env_steps: int  # taken when it began
    train_steps: int  # of the weights evaluated
    scores: EpisodeScores
    is_best: bool


def scores(returns: np.ndarray, lengths: np.ndarray, seed: int = 0) -> EpisodeScores:
    """Mean, standard deviation, median and a bootstrap interval of episodes' returns."""
    low, high = np.percentile(_resampled_means(returns, stream(seed, "bootstrap")), [2.5, 97.5])
    return EpisodeScores(
        episodes=len(returns),
        mean_return=float(returns.mean()),
        std_return=float(returns.std()),
        median_return=float(np.median(returns)),
        ci_low=float(low),
        ci_high=float(high),
        mean_length=float(lengths.mean()),
    )


def _resampled_means(returns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means of so many samples of all returns, drawn with replacement; a part at a time, to spare memory."""
    rows = max(_BOOTSTRAP_ELEMENTS // len(returns), 1)
    means = [
        rng.choice(returns, (min(rows, _BOOTSTRAP_SAMPLES - done), len(returns))).mean(axis=1)
        for done in range(0, _BOOTSTRAP_SAMPLES, rows)
    ]
    return np.concatenate(means)


def save_best(path: Path, weights: Weights, evaluation: Evaluation) -> None:
    """Keeps weights and their scores in one file, whole or not at all; the scores beside it for people."""
    record = msgspec.json.encode(evaluation)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(path, {**weights, _RECORD: np.frombuffer(record, np.uint8)})
    write_atomically(path.with_name("evaluation.json"), msgspec.json.format(record, indent=2))


def load_best(path: Path) -> tuple[dict[str, np.ndarray], Evaluation]:
    """The best policy's weights by canonical name, and their scores. Raises CheckpointError if damaged."""
    try:
        arrays = load_arrays(path)
        return arrays, msgspec.json.decode(arrays.pop(_RECORD).tobytes(), type=Evaluation)
    except Exception as error:  # zipfile, zlib, struct, EOFError, OSError, KeyError: damage has many names
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: the best policy's file is missing or damaged ({why})") from error


def load_policy_weights(
    run: RunDir, which: Literal["best", "latest"], on_damage: Callable[[str], None] = _log.warning
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A run's weights by canonical name, and where they come from (for an export's card).

    Where the latest checkpoint's weights are damaged, `on_damage` is told and those before it are taken. Raises
    CheckpointError where the run has no such policy yet, or it is damaged.
    """
    if which == "best":
        if not run.best_weights.exists():
            raise CheckpointError(f"{run.path} has no evaluated policy yet; try --checkpoint latest")
        weights, evaluation = load_best(run.best_weights)
        return weights, {
            "train_steps": evaluation.train_steps,
            "evaluation": msgspec.to_builtins(evaluation.scores),
        }
    generation = Checkpoints(run.checkpoints).latest(on_damage, only="learner")
    if generation is None:
        raise CheckpointError(f"{run.path} has no checkpoint yet")
    counters = generation.counters
    return below("online", generation.arrays("learner")), {
        "train_steps": counters.train_steps,
        "env_steps": counters.env_steps,
    }
