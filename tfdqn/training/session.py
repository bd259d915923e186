"""`Session`: one process's parts, built and wired; saved and restored together.

The whole system on one screen: task → actor → writer → replay → sampler → updates → learner → publisher →
weights board → actor and evaluator.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import numpy as np

from tfdqn.acting.actors import Actors, lasting, make_actor, saved_actors
from tfdqn.acting.policy import Policy, make_q_function
from tfdqn.config import Config
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.coordination.weights import WeightsBoard, WeightsClient
from tfdqn.evaluation.evaluator import Evaluator, make_evaluation_task
from tfdqn.exporting.best_exports import BestExports
from tfdqn.learning.learner import Learner
from tfdqn.learning.strategies.chief import Chief
from tfdqn.learning.updater import Updater
from tfdqn.networks.factory import weight_specs
from tfdqn.randomness import derived_seed
from tfdqn.records import Counters, Evaluation
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Replay
from tfdqn.replay.replay_ratio import Balance, ReplayRatio
from tfdqn.storage.arrays import SavedArrays, check_arrays
from tfdqn.storage.checkpoints import BEGINS_ANEW, Checkpoint, CheckpointManager
from tfdqn.storage.run_directory import RunDir
from tfdqn.tasks.adapters.restarts import Restarts
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.registry import make_task
from tfdqn.training.stopping import reason_to_stop

Closeable = TypeVar("Closeable", BatchedTask, BestExports, Replay, Updater)


class Session:
    """Everything that one process needs to train, and what it must save to go on later.

    Args:
      config: the run's configuration.
      run_dir: already claimed.
      team: makes the updates.
      say: shows one line to the user.
      interrupted: whether the user has asked to stop.
      work: told when the updates go on; None: nobody looks.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        team: Chief,
        say: Callable[[str], None],
        interrupted: Callable[[], bool] = lambda: False,
        work: StallDetector | None = None,
    ):
        self.work = work or StallDetector()
        self.config, self.run_dir, self._team, self._say = config, run_dir, team, say
        self._parts = ExitStack()
        try:
            self._build(interrupted)
        except BaseException:
            self.close()
            raise

    def _build(self, interrupted: Callable[[], bool]) -> None:
        config, run_dir = self.config, self.run_dir
        self.restarts = Restarts(config.task.restarts, self._say, run_dir.keep_traceback)
        tasks = [
            self._closed_at_the_end(make_task(config.task, restarts=self.restarts))
            for _ in range(config.acting.actors)
        ]
        self._task = tasks[0]
        self.task_spec = run_dir.write_task_spec(self._task.spec)
        for task in tasks:
            task.spec = self.task_spec

        self._checkpoints = CheckpointManager(run_dir.checkpoints, config.checkpoint.keep)
        saved = self._checkpoints.latest(on_damage=lambda damage: self._say(f"warning: {damage}"))
        self.weight_specs = weight_specs(config, self.task_spec)
        if saved is not None:
            self._check_network(saved.arrays("learner"))
        shutil.rmtree(run_dir.scratch, ignore_errors=True)
        run_dir.scratch.mkdir()
        self.replay = self._closed_at_the_end(make_replay(config, self.task_spec, run_dir.scratch))
        # Where replay servers hold what the run had gathered, there is nothing to restore.
        self._is_filled_anew = saved is not None and not any(saved.replay.iterdir())
        if saved is not None and not self._is_filled_anew:
            self.replay.restore(saved.replay)  # a writer or a sampler would hold on to the empty table

        board = WeightsBoard()
        self.actors = Actors(
            [
                make_actor(config, task, self.replay.writer(task.num_envs), board, i)
                for i, task in enumerate(tasks)
            ],
            self._task.num_envs,
        )
        self._evaluation_given_up = False
        self._restarts_before = 0  # in earlier sessions of the run
        # Where it was taken up again, in words.
        self.resumed: str | None = BEGINS_ANEW if run_dir.has_been_trained else None
        self.evaluator = self._make_evaluator(board, interrupted)
        self._exports = self._closed_at_the_end(BestExports(config, run_dir, self.task_spec, self._say))
        self._updates = self._closed_at_the_end(self._team.updates(self.task_spec, self.replay))
        counters = self._begin() if saved is None else self._resume(saved)
        self.counters = counters  # of the checkpoint that it goes on from
        self.seconds_before = counters.seconds
        self.env_steps_before = -1 if saved is None else counters.env_steps
        self._next_evaluation_env_steps = counters.next_evaluation_env_steps

        self.learner = Learner(self._updates, board)
        self.learner.publish()
        self.actors.refresh_weights()
        self.ratio = self._ratio(counters)

    def _make_evaluator(self, board: WeightsBoard, interrupted: Callable[[], bool]) -> Evaluator:
        is_wide = self._task.is_own_vector_version
        task = make_evaluation_task(self.config, self.task_spec, is_wide, self._say, self.restarts)
        return Evaluator(
            self._closed_at_the_end(task),
            Policy(make_q_function(self.config, self.task_spec)),
            WeightsClient(board),
            self.config,
            lambda: interrupted() or self._evaluation_given_up,
        )

    def _ratio(self, counters: Counters) -> ReplayRatio:
        """What is owed, from where the counters stand."""
        settings, min_size = self.config.learner, self.replay.min_size
        balance = Balance.taken_up(counters, min_size, self.replay.size(), self._is_filled_anew, settings)
        self._exempt_transitions = balance.exempt
        return ReplayRatio(
            min_size + balance.exempt,
            settings.env_steps_per_update,
            settings.updates_per_call,
            self.config.stop.env_steps,
            transitions=counters.transitions,
            env_steps=counters.env_steps,
            train_steps=self.learner.train_steps,
        )

    def act(self, actor: int | None = None, timeout_seconds: float = 0.0) -> None:
        """One step of every environment of an actor; None: of the one whose turn it is.

        Waits until it may be taken; where that is not in time, there is none.
        """
        if self.ratio.begin_to_act(self.actors.num_envs, timeout_seconds):
            acted = self.actors.step_next() if actor is None else self.actors.step(actor)
            self.ratio.acted(self.actors.num_envs, *acted)

    def learn(self) -> None:
        """One call's updates."""
        self.ratio.learned(self.learner.run(self.ratio.updates_owed()))

    def record_progress(self, part: str = "updates") -> None:
        """Tells the watchdog that a part of the work does."""
        if self.learner.metrics is not None:  # the first call compiles, for as long as it takes
            self.work.record_progress(part)

    def put_off(self) -> None:
        """Says that a checkpoint is."""
        self._say("warning: a checkpoint is put off: the steps or updates under way take long")

    def evaluation_is_due(self) -> bool:
        return self.ratio.env_steps >= self._next_evaluation_env_steps

    def evaluate(self, on_step: Callable[[], None] = lambda: None) -> Evaluation:
        """Evaluates the newest weights; a new best is on disk when this returns.

        `on_step` is called before every step of its environments. Raises Interrupted; the evaluation is then
        due again, as it is after a kill before its end.
        """
        env_steps = self.ratio.env_steps
        evaluation = self.evaluator.evaluate(env_steps, on_step)
        if evaluation.is_best:
            self.evaluator.save_best(self.run_dir.best_weights, evaluation)
            assert self.evaluator.best_weights is not None
            self._exports.new_best(self.evaluator.best_weights, evaluation)
        self._next_evaluation_env_steps = self.evaluator.due_after(env_steps)
        return evaluation

    @contextmanager
    def evaluation_given_up_on_error(self) -> Iterator[None]:
        """Ends an evaluation that is under way in another thread when the block raises."""
        try:
            yield
        except BaseException:
            self._evaluation_given_up = True
            raise

    def reason_to_stop(self) -> str | None:
        """Why training has ended, or None while it goes on."""
        return reason_to_stop(
            self.config.stop,
            best_return=self.evaluator.best_return,
            evaluations_without_best=self.evaluator.evaluations_without_best,
            env_steps=self.ratio.env_steps,
            is_done=self.ratio.acting_is_done() and not self.ratio.may_learn(),
        )

    def save(self, seconds: float) -> None:
        """Writes a checkpoint; nothing else may act or learn meanwhile."""
        self.run_dir.confirm_claim()
        self.ratio.learned(self.learner.settle())
        counters = Counters(
            env_steps=self.ratio.env_steps,
            transitions=self.ratio.transitions,
            exempt_transitions=self._exempt_transitions,
            train_steps=self.learner.train_steps,
            episodes=self.actors.statistics.episodes,
            seconds=seconds,
            evaluations_without_best=self.evaluator.evaluations_without_best,
            next_evaluation_env_steps=self._next_evaluation_env_steps,
        )
        arrays: dict[str, Mapping[str, np.ndarray]] = {
            "learner": self.learner.state(),
            "actor": {**self.actors.state(), "environment_restarts": np.array(self.environment_restarts)},
            "writer": self.actors.writers_state(),
            "replay": self.replay.state(),
        }
        with self.work.suspended():  # the disk takes as long as it takes
            self._checkpoints.save(counters, arrays, self.replay.save)

    @property
    def environment_restarts(self) -> int:
        """How often environments were made anew since the run began, those of evaluations among them."""
        return self._restarts_before + self.restarts.count

    def check(self) -> None:
        """Raises ClusterError where a process that learns with this one has ended."""
        self._team.check()

    def close(self) -> None:
        """Ends servers and environments, each even if another's end fails."""
        self._parts.close()

    def _closed_at_the_end(self, part: Closeable) -> Closeable:
        self._parts.callback(part.close)
        return part

    def _begin(self) -> Counters:
        """Starts the first episodes of a new run."""
        self.actors.reset(derived_seed(self.config.seed, "task"))
        self.evaluator.load_best(self.run_dir.best_weights, self.weight_specs)
        return Counters(next_evaluation_env_steps=self.evaluator.due_after(0))

    def _check_network(self, saved: SavedArrays) -> None:
        """Raises CheckpointError for another network's weights, before their replay is looked at, which says less."""
        for part in ("online", "target"):
            found = {name: array for name, array in saved.items() if name.startswith(f"{part}/")}
            wanted = {f"{part}/{name}": spec for name, spec in self.weight_specs.items()}
            check_arrays(found, wanted, saved.file)

    def _resume(self, saved: Checkpoint) -> Counters:
        """Puts a checkpoint back, all but the replay's table; the episodes under way where the task can."""
        acting, writing, replay = (saved.arrays(name) for name in ("actor", "writer", "replay"))
        counters, before, now = saved.counters, saved_actors(acting), len(self.actors)
        self.actors.reset(derived_seed(self.config.seed, "task", counters.env_steps))
        self._restarts_before = int(acting.pop("environment_restarts", 0))
        if before == now:
            check_arrays(lasting(acting), lasting(self.actors.state()), acting.file, ("rng", "recent"))
            check_arrays(writing, self.actors.writers_state(), writing.file)
        if not self._is_filled_anew:
            check_arrays(replay, self.replay.state(), replay.file, ("partial_block",))
        self._updates.restore(saved.arrays("learner"))
        self.evaluator.load_best(self.run_dir.best_weights, self.weight_specs)
        self.evaluator.evaluations_without_best = counters.evaluations_without_best
        if not before:
            self.actors.go_on_from(counters.env_steps, counters.episodes)
            how = "its actors and its replay were processes of their own: both start afresh"
        elif self.actors.load_state(acting, writing):
            how = "the episodes under way go on"
        else:
            changed = f": acting.actors was {before}, is {now}" if before != now else ""
            how = f"fresh episodes are started{changed}"
        if not self._is_filled_anew:
            self.replay.load_state(replay)
        self.resumed = f"{saved.where_it_resumes()}, {self.replay.size():,} transitions in replay; {how}"
        return counters
