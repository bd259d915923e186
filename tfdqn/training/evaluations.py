"""`Evaluations`: evaluates at intervals of environment steps; a new best is saved before it is reported."""

from collections.abc import Callable

from tfdqn.evaluation.evaluator import Evaluator
from tfdqn.exporting.from_run import BestExports
from tfdqn.records import Counters, EpisodeScores, Evaluation, Standing
from tfdqn.storage.best_policy import save_best
from tfdqn.storage.run_directory import RunDir


class Evaluations:
    """Runs an evaluator at intervals, in the learner's process or in one of its own.

    Args:
      evaluator: with the state of earlier sessions.
      exports: exports every new best.
      run_dir: where the best policy is kept.
      total_env_steps: the run's environment steps. Once they are taken, no evaluation is due by the interval: the last
        updates follow, and then an evaluation of the last weights.
    """

    def __init__(self, evaluator: Evaluator, exports: BestExports, run_dir: RunDir, total_env_steps: int):
        self._evaluator, self._exports = evaluator, exports
        self._best_weights, self._total_env_steps = run_dir.best_weights, total_env_steps
        self.next_env_steps = self._due_after(0)

    @property
    def best_return(self) -> float | None:
        """Mean greedy return of the best evaluation."""
        return self._evaluator.best_return

    @property
    def evaluations_without_best(self) -> int:
        """How many evaluations there were since the best one."""
        return self._evaluator.evaluations_without_best

    @property
    def evaluated_train_steps(self) -> int | None:
        """The train step of the weights evaluated last; None: not known, or none were evaluated yet."""
        return self._evaluator.evaluated_train_steps

    def resume(self, counters: Counters, last: Standing) -> None:
        """Goes on from a checkpoint's `counters`, after evaluations with the standing `last`.

        An evaluation that was due then is still due, unless these weights were evaluated before. If it was made later,
        which the checkpoint doesn't count, it is made again.
        """
        self._evaluator.evaluations_without_best = counters.evaluations_without_best
        due, has_best = counters.next_evaluation_env_steps, self._evaluator.best_weights is not None
        # Earlier versions let a run's last evaluation be due only after the run's end.
        if last.env_steps < due and (last.train_steps or 0) <= counters.train_steps and has_best:
            self._evaluator.evaluated_train_steps = last.train_steps
        is_due = due <= counters.env_steps and self.evaluated_train_steps != counters.train_steps
        # Otherwise anew, since the run's environment steps may have changed.
        self.next_env_steps = due if is_due else self._due_after(counters.env_steps)

    def is_due(self, env_steps: int) -> bool:
        """Whether an evaluation is due by the interval after `env_steps` environment steps."""
        return self.next_env_steps <= env_steps < self._total_env_steps

    def evaluate(self, env_steps: int, on_step: Callable[[], None] = lambda: None) -> Evaluation:
        """Evaluates the newest weights, after `env_steps` environment steps.

        `on_step` is called before every step of the evaluation's environments. Raises Interruption; the evaluation is
        then due again, as it is after a kill before its end.
        """
        evaluation = self._evaluator.evaluate(env_steps, on_step)
        if evaluation.is_best:
            weights = self._evaluator.best_weights
            assert weights is not None
            save_best(self._best_weights, weights, evaluation)
            self._exports.new_best(weights, evaluation)
        self.next_env_steps = self._due_after(env_steps)
        return evaluation

    def final_scores(self) -> EpisodeScores:
        """Scores of the best policy on fresh episodes. Needs at least one evaluation before."""
        assert self._evaluator.best_weights is not None
        return self._evaluator.final(self._evaluator.best_weights)

    def _due_after(self, env_steps: int) -> int:
        """When an evaluation is due after `env_steps`: by the interval, or earlier, once all steps are taken."""
        due = self._evaluator.due_after(env_steps)
        return due if env_steps >= self._total_env_steps else min(due, self._total_env_steps)
