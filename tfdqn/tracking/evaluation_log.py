"""`EvaluationLog`: a run's evaluations, a line each in `evaluations.jsonl`, and as curves in TensorBoard."""

from pathlib import Path

from tfdqn.acting.episode_statistics import JsonLines, TensorBoard
from tfdqn.records import Evaluation


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
