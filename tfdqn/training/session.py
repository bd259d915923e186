"""`Session`: a run in the process that learns; `start_session` starts or resumes it.

task → actor → writer → replay → sampler → updater → learner → weights board → actors and evaluator

It trains, saves and resumes the same way wherever its parts are: actors, replay and evaluator are in this process
(`training.local_parts`) or in others (`training.remote_parts`), and it knows them by `training.interfaces`.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from tfdqn.config import Config
from tfdqn.config.doubts import doubts
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.learning.devices import learns_on_gpus
from tfdqn.learning.learner import Learner
from tfdqn.learning.rehearsal import own_parts_of, rehearse
from tfdqn.learning.strategies.chief import Chief
from tfdqn.learning.updater import Updater
from tfdqn.records import Counters
from tfdqn.storage.best_policy import put_results_aside
from tfdqn.storage.checkpoints import BEGINS_ANEW, Checkpoint, CheckpointManager
from tfdqn.storage.completion import reason_to_stop
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.interfaces import Parts
from tfdqn.training.prerequisites import image_warning, long_call_warning

P = TypeVar("P", bound=Parts)


def start_session(
    config: Config,
    run_dir: RunDir,
    chief: Chief,
    make_parts: Callable[[Checkpoint | None], P],
    say: Callable[[str], None],
    work: StallDetector | None = None,
) -> "Session[P]":
    """Starts the run of a claimed directory, or resumes it from its newest checkpoint.

    `make_parts` gets the checkpoint to resume from; None: the run begins. Raises the errors of what refuses the start.
    """
    warn = partial(_warn, say)
    checkpoints = CheckpointManager(run_dir.checkpoints, config.checkpoint.keep)
    saved = checkpoints.latest(on_damage=warn)
    counters = Counters() if saved is None else saved.counters
    for doubt in doubts(config):
        warn(doubt)
    with ExitStack() as to_close:  # on an error, closes what has been made so far
        # First whatever may refuse the start, while the results of an earlier start are still in their place.
        parts = make_parts(saved)
        to_close.callback(parts.close)
        warn(image_warning(config, parts.task_spec))
        updater = _make_updater(config, chief, parts, saved, to_close)
        # Before there are weights: from then on a job's evaluator takes the results in the directory for the run's.
        put_aside = _put_results_aside(run_dir, say) if saved is None else ""
        learner = Learner(updater, parts.board, parts.replay.update_priorities, own_parts_of(config), config)
        learner.publish()
        long_call = "" if learns_on_gpus(config) else long_call_warning(config, parts.board.get().weights)
        warn(long_call)
        # The counters of earlier versions' checkpoints lack the updates whose results were lost with a worker.
        parts.ratio.learned(learner.train_steps - counters.train_steps)
        resumed = _resume(config, run_dir, parts, saved)  # last, since actors begin with the published weights
        opened = to_close.pop_all()
    return Session(
        config=config,
        run_dir=run_dir,
        chief=chief,
        parts=parts,
        learner=learner,
        checkpoints=checkpoints,
        say=say,
        work=work or StallDetector(),
        counters=counters,
        env_steps_before=-1 if saved is None else counters.env_steps,
        resumed=resumed,
        put_aside=put_aside,
        saves_before_first_call=bool(long_call),
        to_close=opened,
    )


def _warn(say: Callable[[str], None], warning: str) -> None:
    """Shows a warning; does nothing for ""."""
    if warning:
        say(f"warning: {warning}")


def _make_updater(config: Config, chief: Chief, parts: Parts, saved: Checkpoint | None, to_close: ExitStack) -> Updater:
    """Makes the updater, tries it out where it has parts of the user's own, and restores it."""
    updater = chief.make_updater(parts.task_spec, parts.replay)
    to_close.callback(updater.close)
    rehearse(config, parts.task_spec, updater)
    if saved is not None:
        updater.restore(saved.arrays("learner"))
    return updater


def _put_results_aside(run_dir: RunDir, say: Callable[[str], None]) -> str:
    """Puts the results of an earlier start aside; says and returns which, "" if there were none."""
    put_aside = put_results_aside(run_dir, run_dir.summary_file)
    if put_aside:
        say(put_aside)
    return put_aside


def _resume(config: Config, run_dir: RunDir, parts: Parts, saved: Checkpoint | None) -> str:
    """Restores the parts; returns the message on where the run is resumed, or that it begins anew; "": it is new."""
    how = parts.resume(saved)
    if saved is None:
        return BEGINS_ANEW if run_dir.has_been_trained else ""
    stored = f"{parts.replay.size():,} transitions in {'replay' if config.agent.has_replay else 'the rollout'}"
    return "; ".join(filter(None, [f"{saved.where_it_resumes()}, {stored}", how]))


@dataclass(kw_only=True, eq=False)
class Session(Generic[P]):
    """Everything that the learner's process needs to train, and what it must save to go on later."""

    config: Config
    run_dir: RunDir
    chief: Chief
    parts: P
    learner: Learner
    checkpoints: CheckpointManager
    say: Callable[[str], None]
    work: StallDetector
    counters: Counters  # at the start of this session
    env_steps_before: int  # likewise; -1: the run starts over
    resumed: str  # the message on where the run is resumed, or that it begins anew; "": it is new
    put_aside: str  # the message on results of an earlier start that were put aside; "": there were none
    saves_before_first_call: bool  # since a call takes minutes, in which nothing can be saved
    to_close: ExitStack
    _first_call_began: float | None = field(default=None, init=False)
    # Held so that no progress is recorded just as the first call begins.
    _progress: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def env_steps(self) -> int:
        """Environment steps since the run began."""
        return self.parts.env_steps

    def learn(self, timeout_seconds: float = 0.0) -> None:
        """Calls the learner once enough updates are owed; not after the timeout, nor if `must_be_saved`."""
        are_owed = self.parts.ratio.wait_to_learn(timeout_seconds)
        if are_owed and self.saves_before_first_call:
            time.sleep(timeout_seconds)  # until the thread that saves has done so
        elif are_owed:
            self._expect_no_progress_from_first_call()
            self.parts.replay.flush()
            self.parts.ratio.learned(self.learner.run(self.parts.ratio.updates_owed()))
        self.record_progress("updates")

    def _expect_no_progress_from_first_call(self) -> None:
        """Before the first call, which TensorFlow compiles: no progress is expected until it has returned."""
        if self._first_call_began is None:
            with self._progress:
                self._first_call_began = time.monotonic()
                self.work.finish()

    @property
    def first_call_seconds(self) -> float | None:
        """How long the first call, which TensorFlow compiles, has been running; None before and after it."""
        if self._first_call_began is None or self.learner.metrics is not None:
            return None
        return time.monotonic() - self._first_call_began

    def record_progress(self, part: str) -> None:
        """Tells the watchdog that a part of the work has progressed; not during the first call, which compiles."""
        with self._progress:
            if self.first_call_seconds is None:
                self.work.record_progress(part)

    @property
    def must_be_saved(self) -> bool:
        """Whether a checkpoint is due that the first call of updates would delay for long."""
        return self.saves_before_first_call and self.parts.ratio.may_learn()

    def reason_to_stop(self) -> str | None:
        """Why training has ended, or None while it goes on."""
        return reason_to_stop(
            self.config.stop,
            best_return=self.parts.evaluations.best_return,
            evaluations_without_best=self.parts.evaluations.evaluations_without_best,
            is_done=self.parts.ratio.acting_is_done() and not self.parts.ratio.may_learn(),
        )

    def save(self, seconds: float) -> None:
        """Writes a checkpoint, after `seconds` of training. Nothing may act or learn meanwhile.

        Before the first environment step it writes none, so that a run whose start failed can be begun again with
        another configuration.
        """
        if not self.env_steps:
            return
        self.run_dir.confirm_claim()
        learned = self._settle()
        counters = self._present_counters(seconds)
        arrays = {"learner": learned, **self.parts.state()}
        arrays["actor"] = {**arrays["actor"], "environment_restarts": np.array(self.parts.environment_restarts)}
        with self.work.suspended():  # a slow disk is not a stall
            self.checkpoints.save(counters, arrays, self.parts.save_replay)
        if self.must_be_saved:
            self.saves_before_first_call = False

    def _settle(self) -> dict[str, np.ndarray]:
        """Waits for updates that are under way, and counts them as made; returns the learner's state."""
        train_steps = self.learner.train_steps
        state = self.learner.settle()
        self.parts.ratio.learned(self.learner.train_steps - train_steps)
        return state

    def _present_counters(self, seconds: float) -> Counters:
        balance = self.parts.ratio.balance()
        return Counters(
            env_steps=self.env_steps,
            transitions=balance.transitions,
            exempt_transitions=balance.exempt,
            train_steps=self.learner.train_steps,
            episodes=self.parts.actors.episodes,
            seconds=seconds,
            evaluations_without_best=self.parts.evaluations.evaluations_without_best,
            **self.parts.own_counters(),
        )

    def put_off(self) -> None:
        """Tells the user that a checkpoint is put off, and why."""
        self.say(f"warning: a checkpoint is put off: {self.parts.held_up_by()}")

    def close(self) -> None:
        """Releases the other learning processes, then closes the parts; each one even if closing another fails."""
        self.to_close.close()


AnySession = Session[Any]
