"""`JobSession`: the learner's part of a job whose actors, evaluator and replay are processes of their own.

samples ← replay servers; updates → learner → weights board → whoever asks `LearnerService`. It looks to the
`TrainingMonitor` as a `Session` does: what is elsewhere is known by heartbeats and by asking the replay servers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

import numpy as np

from tfdqn.cluster.roles import Role
from tfdqn.config import Config
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.messages import Counts, EvaluatorReport, Inspection
from tfdqn.coordination.roster import Roster
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.errors import CheckpointError
from tfdqn.learning.learner import Learner
from tfdqn.learning.strategies.chief import Chief
from tfdqn.networks.factory import weight_specs
from tfdqn.records import Counters
from tfdqn.replay.far_ratio import FarRatio
from tfdqn.replay.replay_ratio import Balance
from tfdqn.replay.reverb.remote_replay import RemoteReplay
from tfdqn.storage.arrays import ArrayInfo
from tfdqn.storage.best_policy import load_best
from tfdqn.storage.checkpoints import BEGINS_ANEW, Checkpoint, CheckpointManager
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.stopping import reason_to_stop


class FarActors:
    """All actors of the job, by what they tell."""

    def __init__(self, roster: Roster):
        self._roster = roster

    @property
    def env_steps(self) -> int:
        """Taken by all of them, those that are gone included."""
        return self._roster.counts().env_steps

    @property
    def statistics(self) -> "FarActors":
        """Of their episodes."""
        return self

    @property
    def episodes(self) -> int:
        """How many have finished."""
        return self._roster.counts().episodes

    @property
    def recent_return(self) -> float | None:
        """Mean return of the recent episodes of those that are there."""
        return _mean([beat.episode_return for beat in self._roster.present(Role.ACTOR)])

    @property
    def recent_length(self) -> float | None:
        """Mean length in environment steps, likewise."""
        return _mean([beat.episode_length for beat in self._roster.present(Role.ACTOR)])

    @property
    def weights_version(self) -> int:
        """The train step that made the oldest weights that one of them acts with."""
        versions = [beat.weights_version for beat in self._roster.present(Role.ACTOR)]
        return min((version for version in versions if version >= 0), default=0)


class FarEvaluator:
    """The job's evaluator, by what it reported last, or else by what it left in the run directory."""

    def __init__(self, run_dir: RunDir, evaluations_without_best: int, wanted: Mapping[str, ArrayInfo]):
        self.report = EvaluatorReport(evaluations_without_best=evaluations_without_best)
        if run_dir.best_weights.exists():
            _, best = load_best(run_dir.best_weights, wanted)
            self.report = EvaluatorReport(
                best_return=best.scores.mean_return, evaluations_without_best=evaluations_without_best
            )

    @property
    def best_return(self) -> float | None:
        """Mean greedy return of the best evaluation."""
        return self.report.best_return

    @property
    def evaluations_without_best(self) -> int:
        """How many there were since."""
        return self.report.evaluations_without_best


class JobSession:
    """What the learner's process needs to train, and what it must save to go on later.

    Args:
      run_dir: already claimed.
      control: answers everybody else.
      team: makes the updates.
      replay: at its servers.
      board: the weights that `control` gives out.
      say: shows one line to the user.
      work: told when the updates go on.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        control: LearnerService,
        team: Chief,
        replay: RemoteReplay,
        board: WeightsBoard,
        say: Callable[[str], None],
        work: StallDetector,
    ):
        self.config, self.run_dir, self.replay = config, run_dir, replay
        self._control, self._team, self._say, self._work = control, team, say, work
        self._checkpoints = CheckpointManager(run_dir.checkpoints, config.checkpoint.keep)
        saved = self._checkpoints.latest(on_damage=lambda damage: say(f"warning: {damage}"))
        counters = Counters() if saved is None else saved.counters
        self._updates = team.updates(control.task_spec, replay)
        if saved is not None:
            self._updates.restore(saved.arrays("learner"))
        self._resumed = _resumed(run_dir, saved, replay)
        if self._resumed:
            say(self._resumed)
        restarts = 0 if saved is None else int(saved.arrays("actor").get("environment_restarts", 0))
        control.roster.start_from(
            Counts(env_steps=counters.env_steps, episodes=counters.episodes, environment_restarts=restarts)
        )
        self.actors = FarActors(control.roster)
        wanted = weight_specs(config, control.task_spec)
        self.evaluator = FarEvaluator(run_dir, counters.evaluations_without_best, wanted)
        control.on_evaluated = self._take_report
        balance = None
        if saved is not None:
            balance = Balance.saved(counters, replay.min_size, replay.size(), config.learner)
        self.ratio = FarRatio(replay, balance, config.learner)
        self.counters = counters  # of the checkpoint that it goes on from
        self.seconds_before = counters.seconds
        self.env_steps_before = -1 if saved is None else counters.env_steps
        self.learner = Learner(self._updates, board)
        self.learner.publish()

    def learn(self) -> None:
        """A call's updates, where they are owed."""
        if self.ratio.wait_to_learn(self.config.learner.updates_per_call):
            self._count(self.learner.run(self.ratio.updates_owed()))
        if self.learner.metrics is not None:  # the first call compiles, for as long as it takes
            self._work.record_progress("updates")

    def reason_to_stop(self) -> str | None:
        """Why training has ended, or None while it goes on."""
        env_steps = self.actors.env_steps
        may_learn = self.ratio.updates_owed() >= self.config.learner.updates_per_call
        return reason_to_stop(
            self.config.stop,
            best_return=self.evaluator.best_return,
            evaluations_without_best=self.evaluator.evaluations_without_best,
            env_steps=env_steps,
            is_done=env_steps >= self.config.stop.env_steps and not may_learn,
        )

    def save(self, seconds: float) -> None:
        """Writes a checkpoint, and has the replay servers write theirs; nothing may learn meanwhile."""
        with self._work.suspended():
            self._save(seconds)

    def _save(self, seconds: float) -> None:
        self.run_dir.confirm_claim()
        self._count(self.learner.settle())
        balance = self.ratio.balance(self.learner.train_steps)
        counters = Counters(
            env_steps=self.actors.env_steps,
            transitions=balance.transitions,
            exempt_transitions=balance.exempt,
            train_steps=self.learner.train_steps,
            episodes=self.actors.episodes,
            seconds=seconds,
            evaluations_without_best=self.evaluator.evaluations_without_best,
        )
        # What actors and replay servers hold is theirs to keep.
        acting = {"environment_restarts": np.array(self.environment_restarts)}
        arrays = {"learner": self.learner.state(), "actor": acting, "writer": {}, "replay": {}}
        self._checkpoints.save(counters, arrays, self._save_replay)

    @property
    def environment_restarts(self) -> int:
        """How often environments were made anew since the run began, those of evaluations among them."""
        return self._control.roster.counts().environment_restarts

    def check(self) -> None:
        """Others are watched by a thread of its own."""

    def inspection(self, seconds: float, updates_per_second: float, state: str) -> Inspection:
        """How the job stands."""
        return Inspection(
            phase=self._control.phase,
            state=state,
            env_steps=self.actors.env_steps,
            train_steps=self.learner.train_steps,
            episodes=self.actors.episodes,
            seconds=seconds,
            weights_version=self.learner.train_steps,
            updates_per_second=updates_per_second,
            best_return=self.evaluator.best_return,
            processes=self._control.roster.status(),
            replay=self.replay.status(),
            life=self._control.life,
            resumed=self._resumed,
        )

    def close(self) -> None:
        """Lets go of whoever learns with this process."""
        self._updates.close()

    def _save_replay(self, _: Path) -> None:
        """Has the servers write their own; one that can't keeps its last, and the learner's is written all the same."""
        try:
            self.replay.save()
        except CheckpointError as error:
            self._say(f"warning: {error}")

    def _count(self, made: int) -> None:
        self.ratio.learned(made)
        self._control.train_steps = self.learner.train_steps

    def _take_report(self, report: EvaluatorReport) -> None:
        self.evaluator.report = report


def _resumed(run_dir: RunDir, saved: Checkpoint | None, replay: RemoteReplay) -> str:
    """Where it is taken up again, in words; empty for a new run."""
    if saved is not None:
        return f"{saved.where_it_resumes()}, {replay.size():,} transitions in replay"
    return BEGINS_ANEW if run_dir.has_been_trained else ""


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
