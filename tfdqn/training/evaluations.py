"""`Evaluations`: evaluates at intervals of environment steps; a new best is saved before it is reported."""

from collections.abc import Callable, Sequence

from tfdqn.config import Config
from tfdqn.evaluation.evaluator import Evaluator
from tfdqn.exporting.from_run import BestExports
from tfdqn.records import Counters, EpisodeScores, Evaluation
from tfdqn.storage.best_policy import save_best
from tfdqn.storage.completion import reason_to_stop
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import EvaluationLine, standing_after


class Evaluations:
    """Runs an evaluator at intervals, in the learner's process or in one of its own.

    The evaluator has the state of earlier sessions. Once all environment steps of `config.stop` are taken, no
    evaluation is due by the interval: the last updates follow, and then an evaluation of the last weights.

    Attributes:
      kept_env_steps: evaluations after so many environment steps are of weights that were lost, or are made again; -1:
        all are, since the run starts over.
    """

    def __init__(self, evaluator: Evaluator, exports: BestExports, run_dir: RunDir, config: Config):
        self._evaluator, self._exports = evaluator, exports
        self._run, self._stop, self._total_env_steps = run_dir, config.stop, config.stop.env_steps
        self._interval_env_steps = config.evaluation.interval_env_steps
        self.next_env_steps, self.kept_env_steps = self._due_after(0), -1

    @property
    def best_return(self) -> float | None:
        return self._evaluator.best_return

    @property
    def evaluations_without_best(self) -> int:
        return self._evaluator.evaluations_without_best

    @property
    def evaluated_train_steps(self) -> int | None:
        """The train step of the weights evaluated last; None: not known, or none were evaluated yet."""
        return self._evaluator.evaluated_train_steps

    def resume(self, counters: Counters, made: Sequence[EvaluationLine]) -> None:
        """Goes on from a checkpoint's `counters`, after the evaluations `made`, some perhaps after the checkpoint.

        An evaluation that was due then is still due, unless these weights were evaluated before. A job's checkpoint
        doesn't say when one was due, nor perhaps counts the last: its evaluator decides by those that were made. All of
        them stand if the best return ends the run, since no steps are taken again.
        """
        last = standing_after(line for line in made if self._stands(line, counters))
        lost = [line.env_steps for line in made if not self._stands(line, counters)]
        self.kept_env_steps = min(lost) - 1 if lost else max(counters.env_steps, last.env_steps)
        self._evaluator.evaluated_train_steps = last.train_steps if self._has_best else None
        is_evaluated = self.evaluated_train_steps == counters.train_steps
        due, without_best = counters.next_evaluation_env_steps, counters.evaluations_without_best
        self._evaluator.evaluations_without_best = without_best if due and not is_evaluated else last.without_best
        due = due or self._due_after(last.env_steps)
        is_due = due <= counters.env_steps and not is_evaluated
        # Otherwise anew, since the run's environment steps may have changed.
        self.next_env_steps = due if is_due else self._due_after(counters.env_steps)

    def is_due(self, env_steps: int) -> bool:
        """Whether an evaluation is due by the interval after `env_steps` environment steps."""
        return self.next_env_steps <= env_steps < self._total_env_steps

    def evaluate(self, env_steps: int, on_step: Callable[[], None] = lambda: None) -> Evaluation:
        """Evaluates the newest weights, after `env_steps` environment steps.

        `on_step` is called before every step of the evaluation's environments. Raises Interruption; the evaluation is
        then due again, as it is after a kill before its end. Raises RunDirError if the run's directory is gone.
        """
        evaluation = self._evaluator.evaluate(env_steps, on_step)
        if evaluation.is_best:
            weights = self._evaluator.best_weights
            assert weights is not None
            self._run.check_exists()  # else it would be made again for this file
            save_best(self._run.best_weights, weights, evaluation)
            self._exports.new_best(weights, evaluation)
        self.next_env_steps = self._due_after(env_steps)
        return evaluation

    def final_scores(self) -> EpisodeScores:
        """Scores of the best policy on fresh episodes. Needs at least one evaluation before."""
        assert self._evaluator.best_weights is not None
        return self._evaluator.final(self._evaluator.best_weights)

    @property
    def _has_best(self) -> bool:
        return self._evaluator.best_weights is not None

    def _stands(self, line: EvaluationLine, counters: Counters) -> bool:
        """Whether an evaluation is of weights that the checkpoint has had, and is not made again."""
        if self._is_over():
            return True
        if (line.train_steps or 0) > counters.train_steps:
            return False
        if not self._has_best:  # the last weights are evaluated again
            return line.env_steps < counters.env_steps
        # After the last checkpoint of a job, its actors may take steps from which nothing is learned.
        return line.env_steps <= counters.env_steps or counters.env_steps >= self._total_env_steps

    def _is_over(self) -> bool:
        """Whether the best return ends the run, whatever weights come after it."""
        best = self.best_return
        return bool(reason_to_stop(self._stop, best_return=best, evaluations_without_best=0, is_done=False))

    def _due_after(self, env_steps: int) -> int:
        """When an evaluation is due after `env_steps`: by the interval, or earlier, once all steps are taken."""
        due = (env_steps // self._interval_env_steps + 1) * self._interval_env_steps
        return due if env_steps >= self._total_env_steps else min(due, self._total_env_steps)
