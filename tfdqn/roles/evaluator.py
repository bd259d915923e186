"""The evaluator: plays greedy episodes with the newest weights during training, and keeps the best policy on disk.

It reports to the learner, which may be unreachable for a while or start again. A report that the learner has not
received, or has lost by a restart, is sent again.
"""

import time
from contextlib import ExitStack, closing, suppress

from msgspec import UnsetType
from msgspec.structs import replace

from tfdqn.acting.blas_threads import one_blas_thread
from tfdqn.acting.factory import make_policy
from tfdqn.coordination.membership import Membership
from tfdqn.coordination.messages import Counts, EvaluatorReport, Inspection, Nothing, Phase
from tfdqn.coordination.rpc import RefusedError, UnreachableError
from tfdqn.coordination.weights import RemoteWeights
from tfdqn.evaluation.evaluator import Evaluator, make_evaluation_task
from tfdqn.exporting.from_run import BestExports
from tfdqn.networks.factory import weight_specs
from tfdqn.records import Counters, Evaluation
from tfdqn.roles.context import RoleContext, check_same_task, convert_environment_failures
from tfdqn.storage.atomic_files import require_writable
from tfdqn.storage.best_policy import put_results_aside
from tfdqn.storage.failures import disk_errors_as_run_dir_error
from tfdqn.storage.json_lines import put_aside
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_evaluations, read_standing
from tfdqn.system.signals import Interruption
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.registry import make_task
from tfdqn.tracking.factory import make_trackers
from tfdqn.tracking.tracker import Tracker
from tfdqn.training.evaluations import Evaluations

_POLL_SECONDS = 0.05
_WAITING = "waiting for the learner's weights"
_REPLY_SECONDS = 5.0


def run(context: RoleContext, membership: Membership) -> bool:
    """Evaluates until the job is over; False if the user has asked to stop before.

    Raises UserError for a mistake that the user can correct, PeerLostError if this process must be started again.
    """
    config, run = context.config, RunDir(context.run_dir)
    require_writable(run.path)
    membership.set_state("creating its environments")
    with ExitStack() as parts:
        parts.enter_context(one_blas_thread())
        parts.enter_context(disk_errors_as_run_dir_error(run))
        parts.enter_context(convert_environment_failures())
        restarts = Restarts(config.task.restarts, context.say, print)
        with closing(make_task(config.task, num_envs=1)) as one:
            spec, is_own = one.spec, one.is_own_vector_version
        task = parts.enter_context(closing(make_evaluation_task(config, spec, is_own, context.say, restarts)))
        welcome = membership.join(context.interrupted)
        if welcome is None:
            return False
        run.check_exists()  # the learner has begun it
        check_same_task(context.process_id, welcome.task_spec, spec)
        task.spec = welcome.task_spec
        fetched_seconds = config.acting.fetch_interval_seconds
        specs = weight_specs(config, task.spec)
        weights = parts.enter_context(closing(RemoteWeights(membership.call, fetched_seconds, specs)))
        tracker = parts.enter_context(closing(make_trackers(config, run, "evaluator", context.say)))
        exports = parts.enter_context(closing(BestExports(config, run, task.spec, context.say)))
        try:
            _EvaluatorLoop(context, run, membership, task, weights, tracker, exports, restarts).run_until_over()
        except Interruption:
            pass  # the job is over, or the user has asked to stop
        finally:
            membership.work.finish()  # no longer watched for progress: an export may still take minutes
    return membership.is_over


class _EvaluatorLoop:
    """Evaluates whenever that is due, and reports to the learner."""

    def __init__(
        self,
        context: RoleContext,
        run: RunDir,
        membership: Membership,
        task: BatchedTask,
        weights: RemoteWeights,
        tracker: Tracker,
        exports: BestExports,
        restarts: Restarts,
    ):
        self._context, self._run, self._membership = context, run, membership
        self._weights, self._tracker, self._exports = weights, tracker, exports
        policy = make_policy(context.config, task.spec)
        self._evaluator = Evaluator(task, policy, weights, context.config, self._is_over)
        self._evaluations = Evaluations(self._evaluator, exports, run, context.config)
        self._specs = weight_specs(context.config, task.spec)
        self._start: str | UnsetType | None = None  # whose results it has; None: it has taken none yet
        self._may_be_ahead = True  # of the learner, which may have gone back to an earlier checkpoint
        self._seconds, self._asked_seconds = 0.0, time.monotonic()  # training time by the learner, and when it said so
        self._report, self._is_heard, self._reports_to = EvaluatorReport(), True, ""
        membership.report_with(
            lambda: {
                "weights_version": -1 if (version := self._evaluator.evaluated_train_steps) is None else version,
                "counts": Counts(environment_restarts=restarts.count),
            }
        )

    def run_until_over(self) -> None:
        while not self._is_over():
            phase = self._membership.phase_now(self._context.interrupted)
            if self._membership.joined != self._reports_to and (start := self._membership.start) is not None:
                self._begin_with_learner(start)
            if self._weights.version() < 0:
                self._membership.set_state("waiting for the first weights")
            elif self._membership.joined != self._reports_to:
                self._membership.set_state(_WAITING)
            elif phase == Phase.TRAINING and self._may_be_ahead:
                self._go_back_with_learner()
            elif phase == Phase.FINISHING and not self._report.is_done:
                self._finish()
            elif phase == Phase.TRAINING and self._evaluations.is_due(self._membership.env_steps(0)):
                self._evaluate()
            else:
                self._membership.set_state("ready for the next evaluation")
            if not self._is_heard:
                self._send_report()
            time.sleep(_POLL_SECONDS)

    def _begin_with_learner(self, start: str | UnsetType) -> None:
        """Takes over the results of before, or none of them if the run was begun anew since.

        A learner that begins anew first puts the best policy aside, so one that is there afterwards was found in its
        life, unless this process has found it meanwhile with the weights of the start before.
        """
        self._reports_to = self._membership.joined
        self._evaluator.forget_versions()
        if self._start is None:
            self._evaluator.load_best(self._run.best_weights, self._specs)
            self._evaluator.evaluations_without_best = read_standing(self._run.evaluations_file).without_best
            self._exports.catch_up()
            is_another = start == self._reports_to and self._evaluator.best_weights is None
        else:
            is_another = start != self._start
        if is_another:
            if moved := put_results_aside(self._run):
                self._context.say(moved)
            self._evaluator.forget_best()
            self._keep_evaluations(-1)
        self._start, self._may_be_ahead = start, True
        self._set_report(None)

    def _go_back_with_learner(self) -> None:
        """Moves aside the evaluations after the learner's present step: of weights that it has lost by a restart."""
        self._membership.set_state(_WAITING)
        if not self._has_fetched():  # the weights of before may be its predecessor's
            return
        counters = Counters(env_steps=self._membership.env_steps(0), train_steps=self._weights.version())
        self._may_be_ahead = False
        self._evaluations.resume(counters, read_evaluations(self._run.evaluations_file))
        self._keep_evaluations(self._evaluations.kept_env_steps)

    def _keep_evaluations(self, env_steps: int) -> None:
        """Moves aside the evaluations after `env_steps`; -1: all of them."""
        if moved := put_aside({self._run.evaluations_file: env_steps}):
            self._tracker.rewind(env_steps)
            self._context.say(moved)
            self._set_report(None)

    def _has_fetched(self) -> bool:
        """Fetches the learner's present weights; returns whether it gave any: if not, it is to be asked again."""
        try:
            self._weights.fetch()
        except (UnreachableError, RefusedError):
            return False
        return True

    def _evaluate(self) -> None:
        """Evaluates the newest weights and keeps the result; a new best policy is on disk before it is reported."""
        self._membership.set_state("evaluating")
        env_steps, seconds = self._membership.env_steps(0), self._training_seconds()
        evaluation = self._evaluations.evaluate(env_steps)
        self._tracker.evaluation(evaluation, seconds)
        self._set_report(evaluation)
        best = ", the best so far" if evaluation.is_best else ""
        self._context.say(f"return {evaluation.scores.mean_return:,.2f} at {env_steps:,} environment steps{best}")

    def _finish(self) -> None:
        """Makes the last evaluation of training, and evaluates the best policy on fresh episodes."""
        self._membership.set_state(_WAITING)
        if not self._has_fetched():
            return
        evaluated = read_standing(self._run.evaluations_file).train_steps
        if evaluated != self._weights.version() or self._evaluator.best_weights is None:
            self._evaluate()
        self._membership.set_state("evaluating the best")
        final = self._evaluations.final_scores()
        self._report, self._is_heard = replace(self._report, final=final, is_done=True), False

    def _set_report(self, evaluation: Evaluation | None) -> None:
        self._report = EvaluatorReport(
            joined=self._reports_to,
            evaluation=evaluation,
            best_return=self._evaluator.best_return,
            evaluations_without_best=self._evaluator.evaluations_without_best,
        )
        self._is_heard = False

    def _send_report(self) -> None:
        with suppress(UnreachableError):
            self._membership.call("evaluated", self._report, Nothing, _REPLY_SECONDS)
            self._is_heard = True

    def _training_seconds(self) -> float:
        """Seconds of the whole training, by the learner, or estimated from its last answer if it doesn't answer."""
        with suppress(UnreachableError, RefusedError):
            found: Inspection = self._membership.call("inspect", Nothing(), Inspection, _REPLY_SECONDS)
            self._seconds, self._asked_seconds = found.seconds, time.monotonic()
        return self._seconds + time.monotonic() - self._asked_seconds

    def _is_over(self) -> bool:
        self._membership.work.record_progress()
        return self._membership.phase_now(self._context.interrupted) in (Phase.OVER, None)
