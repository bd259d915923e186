"""`Session`: a run in the process that learns. It trains, saves and resumes the same way wherever its parts are.

task → actor → writer → replay → sampler → updater → learner → weights board → actors and evaluator

Actors, replay and evaluator are in this process (`training.local_parts`) or in others (`training.remote_parts`); a
session knows them by the protocols below.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from tfdqn.config import Config
from tfdqn.config.doubts import doubts
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.learning.devices import learns_on_gpus
from tfdqn.learning.learner import Learner
from tfdqn.learning.rehearsal import own_parts_of, rehearse
from tfdqn.learning.strategies.chief import Chief
from tfdqn.records import Counters
from tfdqn.replay.interfaces import SampledReplay
from tfdqn.replay.replay_ratio import Balance
from tfdqn.storage.best_policy import put_results_aside
from tfdqn.storage.checkpoints import BEGINS_ANEW, Checkpoint, CheckpointManager
from tfdqn.storage.completion import reason_to_stop
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import TaskSpec
from tfdqn.training.prerequisites import image_warning, long_call_warning


class ActingProgress(Protocol):
    """Figures of all actors of a run."""

    @property
    def episodes(self) -> int:
        """Episodes finished since the run began."""

    @property
    def recent_return(self) -> float | None:
        """Mean return of the recent episodes, exploration included; None before the first has finished."""

    @property
    def recent_length(self) -> float | None:
        """Mean length of the recent episodes in environment steps, likewise."""

    @property
    def weights_version(self) -> int:
        """The train step of the oldest weights that an actor acts with."""


class EvaluationProgress(Protocol):
    """Figures of all evaluations since the run began."""

    @property
    def best_return(self) -> float | None:
        """Mean greedy return of the best evaluation; None before the first."""

    @property
    def evaluations_without_best(self) -> int:
        """How many evaluations there were since the best one."""


class Ratio(Protocol):
    """Decides how many updates are owed for the transitions in replay."""

    @property
    def transitions(self) -> int:
        """Transitions written to replay since the run began."""

    def updates_owed(self) -> int:
        """Updates that are due but not yet made, as far as this process knows."""

    def may_learn(self) -> bool:
        """Whether enough updates are owed for a call of the learner."""

    def wait_to_learn(self, timeout_seconds: float) -> bool:
        """Waits until enough updates are owed for a call of the learner; returns False after the timeout."""

    def acting_is_done(self) -> bool:
        """Whether all environment steps have been taken, and the updates that they owe are known."""

    def learned(self, train_steps: int) -> None:
        """Counts updates as made."""

    def balance(self) -> Balance:
        """The state that a checkpoint keeps."""


class Parts(Protocol):
    """Everything in a session but the learner; made from the checkpoint that the run resumes from."""

    @property
    def task_spec(self) -> TaskSpec: ...
    @property
    def board(self) -> WeightsBoard: ...
    @property
    def actors(self) -> ActingProgress: ...
    @property
    def evaluations(self) -> EvaluationProgress: ...
    @property
    def replay(self) -> SampledReplay: ...
    @property
    def ratio(self) -> Ratio: ...

    @property
    def env_steps(self) -> int:
        """Steps taken by all actors since the run began. The transitions that they wrote are counted first."""

    @property
    def environment_restarts(self) -> int:
        """How often environments were restarted since the run began, including those of evaluations."""

    def own_counters(self) -> dict[str, Any]:
        """The fields of `Counters` that only these parts know."""

    def resume(self, saved: Checkpoint | None) -> str:
        """Restores actors and replay, after weights are published; returns a sentence on what wasn't restored."""

    def state(self) -> dict[str, Mapping[str, np.ndarray]]:
        """The state of "actor", "writer" and "replay" for a checkpoint, as far as they are in this process."""

    def save_replay(self, directory: Path) -> None:
        """Writes the content of replay. Raises CheckpointError."""

    def held_up_by(self) -> str:
        """What may delay a checkpoint, for a message."""

    def close(self) -> None:
        """Closes servers and environments, each one even if closing another fails."""


P = TypeVar("P", bound=Parts)


class Session(Generic[P]):
    """Everything that the learner's process needs to train, and what it must save to go on later.

    The run's directory is claimed. `make_parts` gets the checkpoint to resume from; None: the run begins.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        chief: Chief,
        make_parts: Callable[[Checkpoint | None], P],
        say: Callable[[str], None],
        work: StallDetector | None = None,
    ):
        self.config, self.run_dir, self.work = config, run_dir, work or StallDetector()
        self.chief, self.say = chief, say
        self._first_call_began: float | None = None
        self._progress = threading.Lock()  # so that no progress is recorded just as the first call begins
        self._checkpoints = CheckpointManager(run_dir.checkpoints, config.checkpoint.keep)
        saved = self._checkpoints.latest(on_damage=lambda damage: say(f"warning: {damage}"))
        self.counters = Counters() if saved is None else saved.counters  # at the start of this session
        self.env_steps_before = -1 if saved is None else self.counters.env_steps  # -1: the run starts over
        was_trained = run_dir.has_been_trained
        for doubt in doubts(config):
            say(f"warning: {doubt}")
        with ExitStack() as stack:
            self.parts = make_parts(saved)
            stack.callback(self.parts.close)
            if warning := image_warning(config, self.parts.task_spec):
                say(f"warning: {warning}")
            updater = chief.make_updater(self.parts.task_spec, self.parts.replay)
            stack.callback(updater.close)
            rehearse(config, self.parts.task_spec, updater)  # the last that can refuse a new start
            if saved is not None:
                updater.restore(saved.arrays("learner"))
            self.put_aside = "" if saved is not None else put_results_aside(run_dir, run_dir.summary_file)
            if self.put_aside:
                say(self.put_aside)
            board, update_priorities = self.parts.board, self.parts.replay.update_priorities
            self.learner = Learner(updater, board, update_priorities, own_parts_of(config), config.optimizer)
            self.learner.publish()  # from here on a job's evaluator takes the results in the directory for the run's
            warning = long_call_warning(config, self.parts.board.get().weights)
            self._saves_first = bool(warning) and not learns_on_gpus(config)
            if self._saves_first:
                say(f"warning: {warning}")
            # Earlier versions did not count what was lost with a worker.
            self.parts.ratio.learned(self.learner.train_steps - self.counters.train_steps)
            lost = self.parts.resume(saved)
            self._open = stack.pop_all()
        self.actors, self.replay, self.ratio = self.parts.actors, self.parts.replay, self.parts.ratio
        self.resumed = BEGINS_ANEW if was_trained else ""  # the message on where the run is resumed
        if saved is not None:
            stored = f"{self.replay.size():,} transitions in {'replay' if config.agent.has_replay else 'the rollout'}"
            self.resumed = f"{saved.where_it_resumes()}, {stored}{'; ' if lost else ''}{lost}"

    @property
    def env_steps(self) -> int:
        """Environment steps since the run began."""
        return self.parts.env_steps

    @property
    def environment_restarts(self) -> int:
        """How often environments were restarted since the run began, including those of evaluations."""
        return self.parts.environment_restarts

    def learn(self, timeout_seconds: float = 0.0) -> None:
        """Calls the learner once enough updates are owed; not after the timeout, nor if `must_be_saved`."""
        are_owed = self.ratio.wait_to_learn(timeout_seconds)
        if are_owed and self._saves_first:
            time.sleep(timeout_seconds)
        elif are_owed:
            if self._first_call_began is None:
                with self._progress:
                    self._first_call_began = time.monotonic()
                    self.work.finish()  # until that call, which compiles, has returned
            self.replay.flush()
            self.ratio.learned(self.learner.run(self.ratio.updates_owed()))
        self.record_progress("updates")

    @property
    def first_call_seconds(self) -> float | None:
        """How long the first call, which TensorFlow compiles, has been running; None before and after it."""
        if self._first_call_began is None or self.learner.metrics is not None:
            return None
        return time.monotonic() - self._first_call_began

    @property
    def must_be_saved(self) -> bool:
        """Whether a checkpoint is due that the first call of updates would delay for long."""
        return self._saves_first and self.ratio.may_learn()

    def record_progress(self, part: str) -> None:
        """Tells the watchdog that a part of the work has progressed; not during the first call, which compiles."""
        with self._progress:
            if self.first_call_seconds is None:
                self.work.record_progress(part)

    def reason_to_stop(self) -> str | None:
        """Why training has ended, or None while it goes on."""
        return reason_to_stop(
            self.config.stop,
            best_return=self.parts.evaluations.best_return,
            evaluations_without_best=self.parts.evaluations.evaluations_without_best,
            is_done=self.ratio.acting_is_done() and not self.ratio.may_learn(),
        )

    def save(self, seconds: float) -> None:
        """Writes a checkpoint, after `seconds` of training. Nothing may act or learn meanwhile.

        Before the first environment step it writes none, so that a run whose start failed can be begun again with
        another configuration.
        """
        if not self.env_steps:
            return
        self.run_dir.confirm_claim()
        train_steps = self.learner.train_steps
        learned = self.learner.settle()
        self.ratio.learned(self.learner.train_steps - train_steps)
        balance = self.ratio.balance()
        counters = Counters(
            env_steps=self.env_steps,
            transitions=balance.transitions,
            exempt_transitions=balance.exempt,
            train_steps=self.learner.train_steps,
            episodes=self.actors.episodes,
            seconds=seconds,
            evaluations_without_best=self.parts.evaluations.evaluations_without_best,
            **self.parts.own_counters(),
        )
        arrays = {"learner": learned, **self.parts.state()}
        restarts = {"environment_restarts": np.array(self.environment_restarts)}
        arrays["actor"] = {**arrays["actor"], **restarts}
        with self.work.suspended():  # a slow disk is not a stall
            self._checkpoints.save(counters, arrays, self.parts.save_replay)
        self._saves_first = self._saves_first and not self.must_be_saved

    def put_off(self) -> None:
        """Tells the user that a checkpoint is put off, and why."""
        self.say(f"warning: a checkpoint is put off: {self.parts.held_up_by()}")

    def close(self) -> None:
        """Releases the other learning processes, then closes the parts; each one even if closing another fails."""
        self._open.close()


AnySession = Session[Any]
