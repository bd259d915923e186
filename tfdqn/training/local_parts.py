"""`LocalParts`: tasks, actors, evaluator and replay in the process that learns; `local_session` starts a session."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfdqn.acting.actors import Actors, lasting, make_actor, saved_actors
from tfdqn.acting.factory import make_policy
from tfdqn.config import Config
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.evaluation.evaluator import Evaluator, make_evaluation_task
from tfdqn.exporting.from_run import BestExports
from tfdqn.learning.strategies.chief import Chief
from tfdqn.networks.factory import weight_specs
from tfdqn.randomness import derived_seed
from tfdqn.records import Counters, Evaluation
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Replay
from tfdqn.replay.replay_ratio import Balance, ReplayRatio
from tfdqn.replay.rollout import Rollout, RolloutTurns
from tfdqn.storage.arrays import add_prefix, check_arrays
from tfdqn.storage.checkpoints import Checkpoint
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_evaluations
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.registry import make_task
from tfdqn.training.evaluations import Evaluations
from tfdqn.training.session import Session, start_session


def local_session(
    config: Config,
    run_dir: RunDir,
    chief: Chief,
    say: Callable[[str], None],
    interrupted: Callable[[], bool] = lambda: False,
    work: StallDetector | None = None,
) -> "Session[LocalParts]":
    """Starts a session in which only the updates may be divided among processes. Arguments as for `start_session`."""
    make_parts = partial(LocalParts, config, run_dir, say, interrupted)
    return start_session(config, run_dir, chief, make_parts, say, work)


class LocalParts:
    """Actors, which wait for the learner as a `ReplayRatio` says, an evaluator and a replay, for the loops to call.

    All of `saved`, the checkpoint to resume from, but the learner's arrays is checked here; `resume` restores it.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        say: Callable[[str], None],
        interrupted: Callable[[], bool],
        saved: Checkpoint | None,
    ):
        self._config, self._run_dir, self._say, self._interrupted = config, run_dir, say, interrupted
        self.board = WeightsBoard()
        counters = Counters() if saved is None else saved.counters
        self._start = counters.start
        with ExitStack() as self._open:
            tasks = self._make_tasks()
            self.task_spec = tasks[0].spec
            self._weight_specs = weight_specs(config, self.task_spec)
            self.replay = self._make_replay(saved)
            self.actors = self._make_actors(tasks, saved)
            self.evaluations = self._make_evaluations(tasks[0], saved)
            self._restarts_before = 0  # in earlier sessions of the run
            if saved is not None:
                self._check(saved)
                self._restarts_before = int(saved.arrays("actor").get("environment_restarts", 0))
            self.ratio = self._make_ratio(counters)
            self._open = self._open.pop_all()

    def act(self, actor: int | None = None, timeout_seconds: float = 0.0) -> None:
        """Takes one step in every environment of an actor; None: of the actor whose turn it is.

        Waits until the replay ratio allows the step; takes none if that takes too long.
        """
        if self.ratio.begin_to_act(self.actors.num_envs, timeout_seconds):
            acted = self.actors.step_next() if actor is None else self.actors.step(actor)
            self.ratio.acted(self.actors.num_envs, *acted)

    def evaluation_is_due(self) -> bool:
        return self.evaluations.is_due(self.env_steps)

    def evaluate(self, on_step: Callable[[], None] = lambda: None) -> Evaluation:
        """Runs `Evaluations.evaluate` now."""
        return self.evaluations.evaluate(self.env_steps, on_step)

    @contextmanager
    def evaluation_given_up_on_error(self) -> Iterator[None]:
        """Ends an evaluation that another thread is running if the block raises."""
        try:
            yield
        except BaseException:
            self._evaluation_given_up = True
            raise

    @property
    def env_steps(self) -> int:
        return self.ratio.env_steps

    @property
    def environment_restarts(self) -> int:
        return self._restarts_before + self._restarts.count

    def own_counters(self) -> dict[str, Any]:
        return {"next_evaluation_env_steps": self.evaluations.next_env_steps, "start": self._start}

    def resume(self, saved: Checkpoint | None) -> str:
        """Restores everything except the replay's table, which is restored already; episodes only if the task can."""
        how = ""
        if saved is not None:
            how = self._resume_actors(saved)
            if not self._is_replay_empty:
                self.replay.load_state(saved.arrays("replay"))
        self.actors.refresh_weights()
        return how

    def state(self) -> dict[str, Mapping[str, np.ndarray]]:
        return {"actor": self.actors.state(), "writer": self.actors.writers_state(), "replay": self.replay.state()}

    def save_replay(self, directory: Path) -> None:
        self.replay.save(directory)

    def held_up_by(self) -> str:
        return "the steps or updates under way take long"

    def close(self) -> None:
        self._open.close()

    def _make_tasks(self) -> list[BatchedTask]:
        """Makes a task for every actor, all with the run's specification."""
        settings = self._config.task
        self._restarts = Restarts(settings.restarts, self._say, self._run_dir.keep_traceback)
        tasks = [
            self._open.enter_context(closing(make_task(settings, restarts=self._restarts)))
            for _ in range(self._config.acting.actors)
        ]
        spec = self._run_dir.write_task_spec(tasks[0].spec)
        for task in tasks:
            task.spec = spec
        return tasks

    def _make_replay(self, saved: Checkpoint | None) -> Replay:
        """Makes the replay, and restores it from the checkpoint unless replay servers had its content then."""
        if saved is not None:
            self._check_network(saved)  # first, since errors about the replay would say less
        scratch = self._run_dir.scratch
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        replay = self._open.enter_context(closing(make_replay(self._config, self.task_spec, scratch)))
        # If replay servers had the run's transitions, there is nothing to restore.
        self._is_replay_empty = saved is not None and not any(saved.replay.iterdir())
        if saved is not None and not self._is_replay_empty:
            replay.restore(saved.replay)  # before a writer or a sampler is made, which would keep the empty table
        return replay

    def _make_actors(self, tasks: list[BatchedTask], saved: Checkpoint | None) -> Actors:
        """Makes actors at the start of new episodes, whose seeds differ after every checkpoint."""
        actors = [
            make_actor(self._config, task, self.replay.writer(task.num_envs), self.board, i)
            for i, task in enumerate(tasks)
        ]
        together = Actors(actors, tasks[0].num_envs)
        place = () if saved is None else (saved.counters.env_steps,)
        together.reset(derived_seed(self._config.seed, "task", *place))
        return together

    def _make_evaluations(self, task: BatchedTask, saved: Checkpoint | None) -> Evaluations:
        """Evaluations with environments of their own."""
        config, spec = self._config, self.task_spec
        its_task = make_evaluation_task(config, spec, task.is_own_vector_version, self._say, self._restarts)
        self._evaluation_given_up = False
        evaluator = Evaluator(
            self._open.enter_context(closing(its_task)),
            make_policy(config, spec),
            self.board,
            config,
            lambda: self._interrupted() or self._evaluation_given_up,
        )
        exports = self._open.enter_context(closing(BestExports(config, self._run_dir, spec, self._say)))
        evaluations = Evaluations(evaluator, exports, self._run_dir, config)
        if saved is not None:
            evaluator.load_best(self._run_dir.best_weights, self._weight_specs)
            exports.catch_up()
            evaluations.resume(saved.counters, read_evaluations(self._run_dir.evaluations_file))
        return evaluations

    def _make_ratio(self, counters: Counters) -> ReplayRatio | RolloutTurns:
        """Makes the replay ratio, which continues from the saved counters."""
        if isinstance(self.replay, Rollout):
            return RolloutTurns(self.replay, self._config.updates_per_call, self._config.stop.env_steps, counters)
        settings, min_size = self._config.learner, self.replay.min_size
        balance = Balance.saved(counters, min_size, self.replay.size(), settings)
        if self._is_replay_empty:
            balance = balance.with_empty_replay(min_size, settings)
        return ReplayRatio(
            min_size,
            settings.env_steps_per_update,
            settings.updates_per_call,
            self._config.stop.env_steps,
            balance,
            counters.env_steps,
        )

    def _check_network(self, saved: Checkpoint) -> None:
        """Raises CheckpointError if the weights are of another network."""
        arrays = saved.arrays("learner")
        for part in ("online", "target") if self._config.agent.has_target_network else ("online",):
            found = {name: array for name, array in arrays.items() if name.startswith(f"{part}/")}
            check_arrays(found, add_prefix(part, self._weight_specs), arrays.file)

    def _check(self, saved: Checkpoint) -> None:
        """Raises CheckpointError if the arrays are of another run."""
        acting, writing, replay = (saved.arrays(name) for name in ("actor", "writer", "replay"))
        acting.pop("environment_restarts", None)
        if saved_actors(acting) == len(self.actors):
            check_arrays(lasting(acting), lasting(self.actors.state()), acting.file, ("rng", "recent"))
            check_arrays(writing, self.actors.writers_state(), writing.file)
        if not self._is_replay_empty:
            check_arrays(replay, self.replay.state(), replay.file, ("partial_block",))

    def _resume_actors(self, saved: Checkpoint) -> str:
        """Restores the actors; returns a message on whether their episodes were restored."""
        acting, writing = saved.arrays("actor"), saved.arrays("writer")
        acting.pop("environment_restarts", None)
        before, now = saved_actors(acting), len(self.actors)
        if not before:
            self.actors.go_on_from(saved.counters.env_steps, saved.counters.episodes)
            return "its actors and its replay were processes of their own: both start afresh"
        if self.actors.load_state(acting, writing):
            return "the episodes under way go on"
        changed = f": acting.actors was {before}, is {now}" if before != now else ""
        return f"fresh episodes are started{changed}"
