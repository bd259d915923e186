"""`EvaluationLog`: a run's evaluations, a line each in `evaluations.jsonl`, and as curves in TensorBoard."""

import json
from pathlib import Path
from typing import NamedTuple

from tfdqn.acting.episode_statistics import JsonLines, TensorBoard
from tfdqn.evaluation.bootstrap import Evaluation


class EvaluationLog:
    """Where evaluations are written.

    Args:
      path: the file, appended to.
      tensorboard: where curves go besides; None: nowhere.
    """

    def __init__(self, path: Path, tensorboard: TensorBoard | None):
        self._lines = JsonLines(path)
        self._tensorboard = tensorboard

    def write(self, evaluation: Evaluation, seconds: float) -> None:
        """Adds one, made when the run had trained for so many seconds."""
        scores = evaluation.scores
        self._lines.write(
            {
                "env_steps": evaluation.env_steps,
                "train_steps": evaluation.train_steps,
                "seconds": round(seconds, 3),
                "mean_return": scores.mean_return,
                "std_return": scores.std_return,
                "mean_length": scores.mean_length,
                "episodes": scores.episodes,
                "is_best": evaluation.is_best,
            }
        )
        if self._tensorboard is not None:
            values = {"evaluation/return": scores.mean_return, "evaluation/length": scores.mean_length}
            self._tensorboard.scalars(values, evaluation.env_steps)

    def close(self) -> None:
        """Closes the file; TensorBoard is its owner's."""
        self._lines.close()


class Standing(NamedTuple):
    """How far a run's evaluations have come."""

    env_steps: int = 0  # when the last one began
    without_best: int = 0  # since the last new best


def read_standing(path: Path) -> Standing:
    """What the lines of an `EvaluationLog` say; a damaged one counts for nothing."""
    env_steps = without_best = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            env_steps, is_best = int(record["env_steps"]), bool(record["is_best"])
        except (ValueError, KeyError, TypeError):
            continue  # half a line: its writer was killed
        without_best = 0 if is_best else without_best + 1
    return Standing(env_steps, without_best)
