"""`TrainingMonitor`: the periodic work of a run: curves, checkpoints, progress, profile, conditions to stop."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from tfdqn.acting import exploration
from tfdqn.config import EpsilonGreedy
from tfdqn.errors import one_line
from tfdqn.evaluation.evaluate import evaluate
from tfdqn.records import Evaluation, Progress, Summary
from tfdqn.storage.run_records import read_progress
from tfdqn.system.interval import IntervalTrigger, Rate
from tfdqn.tracking.factory import make_trackers, rewind
from tfdqn.tracking.tracker import Point, Tracker
from tfdqn.training.session import AnySession

log = logging.getLogger(__name__)

RESUMING = "resuming"  # until the first updates, if replay has been restored
FIRST_UPDATES = "compiling the first updates"
_PROGRESS_SECONDS = 0.1
_PROFILE_SECONDS = 2.0


class TrainingMonitor:
    """Logs, saves, reports and decides when to stop.

    Calls `on_progress` at most ten times a second. With `profile`, records a trace of the first seconds of learning.
    """

    def __init__(
        self,
        session: AnySession,
        tracker: Tracker,
        on_progress: Callable[[Progress], None],
        interrupted: Callable[[], bool],
        profile: bool,
    ):
        self._session = session
        self._tracker = tracker
        self._on_progress = on_progress
        self._interrupted = interrupted
        self._profile = _Profile(str(session.run_dir.logs)) if profile else None
        self._save_due = IntervalTrigger(session.config.checkpoint.interval_seconds)
        self._time_per_saving = 1 / session.config.checkpoint.max_time_share - 1
        self._log_due = IntervalTrigger(session.config.logging.interval_seconds)
        self._show_due = IntervalTrigger(_PROGRESS_SECONDS)
        self._acting_rate, self._learning_rate = Rate(), Rate()
        self._shown_rates = (0.0, 0.0)
        self._logged: tuple[object, dict[str, float]] | None = None
        self._seconds_before = session.counters.seconds
        self._replay_was_restored = (
            session.env_steps_before >= 0
            and session.config.agent.has_replay
            and session.parts.replay.size() >= session.parts.replay.min_size
        )
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall time of training, earlier sessions of the run included."""
        return self._seconds_before + time.monotonic() - self._started

    def tick(self, paused: AbstractContextManager[None]) -> None:
        """Does whatever is due; checkpoints are written in the block `paused`.

        Raises RunDirError if another process has taken the run over, or its directory is gone.
        """
        self._session.chief.check()
        if self._profile is not None:
            self._profile.tick(self._session.learner.metrics is not None)
        if self._show_due.is_due():
            self._session.run_dir.check_claim()
            self.show()
            self._show_due.done()
        if self._log_due.is_due():
            self._session.run_dir.check_claim()
            self._log()
            self._log_due.done()
        if self._save_due.is_due() or self._session.must_be_saved:
            with paused:
                began = time.monotonic()
                self._session.save(self.seconds)
            self._save_due.done(at_least=(time.monotonic() - began) * self._time_per_saving)

    def log_last(self) -> None:
        """Logs the present point of the curves, unless the last one logged, of an earlier session too, is of this step.

        Raises RunDirError as `tick`.
        """
        self._session.run_dir.check_claim()
        last = read_progress(self._session.run_dir.metrics_file)
        if last is None or last.env_steps != self._session.env_steps:
            self._log()

    def evaluated(self, evaluation: Evaluation) -> None:
        """Records an evaluation."""
        self._tracker.evaluation(evaluation, self.seconds)

    def finished(self, summary: Summary) -> None:
        """Records the run's summary."""
        self._tracker.summary(summary, self._now())

    def record_video(self, policy: Literal["best", "latest"]) -> None:
        """Records a video of one of the run's policies, if the tracker takes videos."""
        if not self._tracker.takes_videos:
            return
        try:
            video = evaluate(self._session.run_dir.path, episodes=1, checkpoint=policy, video="mp4").video
        except Exception as error:  # must not fail a run that has finished
            log.warning("there is no video of the %s policy: %s", policy, one_line(error))
        else:
            self._tracker.video(f"evaluation/{policy}", Path(str(video)), self._now())

    def reason_to_stop(self) -> str | None:
        """Why to stop: "interrupted" by the user, or the condition of the configuration that holds; None: continue."""
        return "interrupted" if self._interrupted() else self._session.reason_to_stop()

    def show(self, phase: str | None = None) -> None:
        """Shows the present progress; `phase` as of `progress`."""
        self._on_progress(self.progress(phase))

    def progress(self, phase: str | None = None) -> Progress:
        """The present state of the run."""
        session = self._session
        learner = session.learner.metrics
        return Progress(
            env_steps=session.env_steps,
            total_env_steps=session.config.stop.env_steps,
            train_steps=session.learner.train_steps,
            seconds=self.seconds,
            env_steps_per_second=self._shown_rates[0],
            updates_per_second=self._shown_rates[1],
            episode_return=session.parts.actors.recent_return,
            loss=None if learner is None else learner["learning/loss"],
            best_return=session.parts.evaluations.best_return,
            phase=phase or self._phase(),
            first_call_seconds=session.first_call_seconds,
        )

    def close(self) -> None:
        """Ends the profile and the tracker."""
        if self._profile is not None:
            self._profile.end()
        self._tracker.close()

    def _now(self) -> Point:
        return Point(self._session.env_steps, self._session.learner.train_steps, self.seconds)

    def _phase(self) -> str:
        session = self._session
        if session.first_call_seconds is not None:
            return FIRST_UPDATES
        if session.learner.metrics is not None:
            return "learning"
        if not session.config.agent.has_replay:
            return "first rollout"
        return RESUMING if self._replay_was_restored else "filling replay"

    def _log(self) -> None:
        session = self._session
        env_steps, train_steps = session.env_steps, session.learner.train_steps
        self._shown_rates = (
            self._acting_rate.read(self.seconds, env_steps),
            self._learning_rate.read(self.seconds, train_steps),
        )
        if not env_steps:  # as in `Session.save`, nothing is recorded before the first step
            return
        staleness = session.learner.take_staleness()
        at = Point(env_steps, train_steps, self.seconds)
        values = self._curves(env_steps, train_steps, staleness)
        if (at[:2], values) != self._logged:  # while all waits, as for a replay server, one line says it
            self._tracker.scalars(values, at)
        self._logged = at[:2], values
        if staleness is not None:
            self._tracker.histogram("learning/staleness", staleness, at)

    def _curves(self, env_steps: int, train_steps: int, staleness: np.ndarray | None) -> dict[str, float]:
        """All present values of curves, by "group/name"."""
        session, config = self._session, self._session.config
        transitions = session.parts.ratio.transitions
        sampled = train_steps * config.learner.batch_size
        kind = "epsilon" if isinstance(config.exploration, EpsilonGreedy) else "temperature"
        values: dict[str, float | None] = {
            "acting/episode_return": session.parts.actors.recent_return,
            "acting/episode_length": session.parts.actors.recent_length,
            f"acting/{kind}": exploration.scheduled(config.exploration, env_steps),
            "acting/env_steps_per_second": self._shown_rates[0],
            "acting/weights_age_train_steps": train_steps - session.parts.actors.weights_version,
            "learning/updates_per_second": self._shown_rates[1],
        }
        if config.agent.has_replay:
            values["replay/transitions"] = session.parts.replay.size()
            values["replay/samples_per_insert"] = sampled / transitions if transitions else None
        if config.agent.has_target_network:
            values["learning/target_updates"] = train_steps // config.agent.target_update_period_train_steps
        if config.task.restarts:
            values["acting/environment_restarts"] = session.parts.environment_restarts
        if session.learner.metrics is not None:
            values |= session.learner.metrics
        if staleness is not None:
            values |= {
                "learning/staleness_train_steps": float(np.mean(staleness)),
                "learning/max_staleness_train_steps": float(np.max(staleness)),
                "learning/dropped_gradients": session.learner.dropped,
            }
        return {name: value for name, value in values.items() if value is not None}


class _Profile:
    """A TensorFlow profiler trace of the first seconds of learning, where TensorBoard looks for it."""

    def __init__(self, logs: str):
        self._logs = logs
        self._ends: float | None = None
        self._done = False

    def tick(self, is_learning: bool) -> None:
        if self._done or not is_learning:
            return
        if self._ends is None:
            tf.profiler.experimental.start(self._logs)
            self._ends = time.monotonic() + _PROFILE_SECONDS
        elif time.monotonic() >= self._ends:
            self.end()

    def end(self) -> None:
        if self._ends is not None and not self._done:
            tf.profiler.experimental.stop()
            self._done = True


def begin_tracking(session: AnySession, kept_env_steps: int | None) -> Tracker:
    """Makes the trackers of a new session; metrics from after the checkpoint that it resumes from are moved aside.

    `kept_env_steps` is as for `tracking.factory.rewind`. Says where the run is resumed, and what was moved.
    """
    moved = rewind(session.run_dir, session.env_steps_before, kept_env_steps)
    for line in filter(None, (session.resumed, moved)):
        session.say(line)
    return make_trackers(session.config, session.run_dir, "learner", session.say)
