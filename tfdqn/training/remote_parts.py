"""`RemoteParts`: a job's actors, evaluator and replay, in processes of their own.

samples ← replay servers; updater → learner → weights board → every process that asks `LearnerService`
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from tfdqn.cluster.roles import Role
from tfdqn.config import Config
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.messages import Counts, EvaluatorReport
from tfdqn.coordination.roster import Roster
from tfdqn.errors import CheckpointError
from tfdqn.networks.factory import weight_specs
from tfdqn.records import Counters
from tfdqn.replay.replay_ratio import Balance
from tfdqn.replay.reverb.remote_replay import RemoteReplay, RemoteReplayRatio
from tfdqn.storage.best_policy import load_best
from tfdqn.storage.checkpoints import Checkpoint
from tfdqn.storage.run_directory import RunDir


class RemoteActors:
    """All actors of a job, as their heartbeats describe them."""

    def __init__(self, roster: Roster):
        self._roster = roster

    @property
    def episodes(self) -> int:
        """Episodes that all actors have finished, including actors that are gone."""
        return self._roster.counts().episodes

    @property
    def recent_return(self) -> float | None:
        """Mean return of the recent episodes of the present actors."""
        return _mean([heartbeat.episode_return for heartbeat in self._roster.present(Role.ACTOR)])

    @property
    def recent_length(self) -> float | None:
        """Mean length in environment steps of the recent episodes of the present actors."""
        return _mean([heartbeat.episode_length for heartbeat in self._roster.present(Role.ACTOR)])

    @property
    def weights_version(self) -> int:
        """The train step of the oldest weights that an actor acts with."""
        versions = [heartbeat.weights_version for heartbeat in self._roster.present(Role.ACTOR)]
        return min((version for version in versions if version >= 0), default=0)


class RemoteParts:
    """What the learner knows of its job's other processes, each of which saves its own state.

    All servers of `replay` have answered.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        service: LearnerService,
        replay: RemoteReplay,
        say: Callable[[str], None],
        saved: Checkpoint | None,
    ):
        self._roster, self._say = service.roster, say
        self.task_spec, self.board, self.replay = service.task_spec, service.board, replay
        self.emptied = ""  # the message on what was removed from replay
        counters, restarts, balance = Counters(), 0, Balance()
        if saved is not None:
            counters = saved.counters
            restarts = int(saved.arrays("actor").get("environment_restarts", 0))
            replay.load_state(saved.arrays("replay"))
            balance = Balance.saved(counters, replay.min_size, replay.size(), config.learner)
        elif stored := replay.size():
            self.emptied = f"replay is emptied: its {stored:,} transitions are of a learner that has left no checkpoint"
            say(self.emptied)
            replay.clear()
        self._roster.start_from(
            Counts(env_steps=counters.env_steps, episodes=counters.episodes, environment_restarts=restarts)
        )
        self.actors = RemoteActors(self._roster)
        self.ratio = RemoteReplayRatio(replay, balance, config, lambda: self.env_steps)
        best_return = None
        if saved is not None and run_dir.best_weights.exists():
            _, best = load_best(run_dir.best_weights, weight_specs(config, self.task_spec))
            best_return = best.scores.mean_return
        # The evaluator's last report; before the first, the state in the run's directory.
        self.evaluations = EvaluatorReport(
            best_return=best_return, evaluations_without_best=counters.evaluations_without_best
        )
        service.start = self._start = service.life if saved is None else counters.start
        service.on_evaluated = self._take_report
        service.largest_priority = lambda: replay.largest_priority

    @property
    def env_steps(self) -> int:
        return self._roster.counts().env_steps

    @property
    def environment_restarts(self) -> int:
        return self._roster.counts().environment_restarts

    def own_counters(self) -> dict[str, Any]:
        return {"start": self._start}

    def resume(self, saved: Checkpoint | None) -> str:
        return ""

    def state(self) -> dict[str, Mapping[str, np.ndarray]]:
        return {"actor": {}, "writer": {}, "replay": self.replay.state()}

    def save_replay(self, directory: Path) -> None:
        """Makes each server write a checkpoint. A server that can't keeps its last one, and a warning is shown."""
        try:
            self.replay.save()
        except CheckpointError as error:
            self._say(f"warning: {error}")

    def held_up_by(self) -> str:
        return "; ".join(self.replay.silent()) or "the updates under way take long"

    def close(self) -> None:
        """Does nothing: the other processes end by themselves."""

    def _take_report(self, report: EvaluatorReport) -> None:
        self.evaluations = report


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
