"""`run_report`: what a run's directory says about the run, whether or not anything trains it now."""

import math
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from tfdqn.config import Config
from tfdqn.coordination.heartbeat_files import HeartbeatRecord, read_heartbeat
from tfdqn.storage.best_policy import best_return
from tfdqn.storage.checkpoints import Checkpoint
from tfdqn.storage.completion import last_results, newest_checkpoint
from tfdqn.storage.recorded_config import recorded
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_evaluations, read_progress
from tfdqn.storage.trainer import trainer_of


class CheckpointReport(Struct, frozen=True, kw_only=True):
    """The checkpoint from which the run would be resumed."""

    path: str
    seconds_ago: float | None  # None: an earlier version of tfdqn wrote it, without the time
    env_steps: int
    train_steps: int
    episodes: int


class EvaluationsReport(Struct, frozen=True, kw_only=True):
    """The evaluations so far: mean returns of greedy episodes."""

    count: int  # without those that a resumed run has put aside
    last_return: float | None  # None: all were put aside
    last_env_steps: int | None
    best_return: float  # of the best policy, which is kept even if its evaluation was put aside


class ProgressReport(Struct, frozen=True, kw_only=True):
    """How far training was at its last report, of which a run that trains makes one every few seconds."""

    env_steps: int
    train_steps: int
    seconds: float  # of training until then
    env_steps_per_second: float
    episode_return: float | None  # mean of the recent episodes, exploration included; None: not known
    seconds_ago: float


class RunReport(Struct, frozen=True, kw_only=True):
    """What a run's directory says about it."""

    path: str
    total_env_steps: int
    reason: str  # why it has finished; "": it hasn't, or has been trained further since
    progress: ProgressReport | None  # None: there was no report yet, or the run has finished
    checkpoint: CheckpointReport | None
    evaluations: EvaluationsReport | None
    heartbeats: tuple[HeartbeatRecord, ...]  # the newest of each process of this host that has not ended well


def run_report(run: RunDir, env_steps: float = math.inf) -> RunReport:
    """What a run's directory says. Raises RunDirError if it is not a run's.

    `env_steps` is where the job's learner is now: later evaluations, of a learner before it, are about to be put aside.
    """
    heartbeats = filter(None, map(read_heartbeat, run.heartbeats.glob("*.json")))
    config, newest = recorded(run).config, newest_checkpoint(run)
    reason = _reason(run, config, newest)
    return RunReport(
        path=str(run.path),
        total_env_steps=config.stop.env_steps,
        reason=reason,
        progress=None if reason else _progress(run.metrics_file),
        checkpoint=None if newest is None else _report(newest),
        evaluations=_evaluations(run, env_steps),
        heartbeats=tuple(sorted(heartbeats, key=lambda each: (each.name.partition(" ")[0], len(each.name), each.name))),
    )


def why_over(run: RunDir) -> str:
    """As the `reason` of `run_report`; "" also if a process is known to train the run."""
    return _reason(run, recorded(run).config, newest_checkpoint(run)) if trainer_of(run) is None else ""


def _reason(run: RunDir, config: Config, newest: Checkpoint | None) -> str:
    """Why the run has finished; "" if it hasn't, or has been trained further since."""
    summary = last_results(run, config, newest)
    return "" if summary is None else summary.reason


def _progress(metrics: Path) -> ProgressReport | None:
    try:
        changed_seconds = metrics.stat().st_mtime
    except FileNotFoundError:
        return None
    if (newest := read_progress(metrics)) is None:
        return None
    known = msgspec.structs.asdict(newest)
    written_seconds = known.pop("unix_seconds") or changed_seconds
    return ProgressReport(**known, seconds_ago=time.time() - written_seconds)


def _report(newest: Checkpoint) -> CheckpointReport:
    counters = newest.counters
    return CheckpointReport(
        path=str(newest.directory),
        seconds_ago=newest.age_seconds,
        env_steps=counters.env_steps,
        train_steps=counters.train_steps,
        episodes=counters.episodes,
    )


def _evaluations(run: RunDir, env_steps: float) -> EvaluationsReport | None:
    lines = read_evaluations(run.evaluations_file)
    finite = [line for line in lines if line.mean_return is not None and line.env_steps <= env_steps]
    if (best := best_return(run, finite)) is None:
        return None
    last = finite[-1] if finite else None
    return EvaluationsReport(
        count=len(finite),
        last_return=None if last is None else last.mean_return,
        last_env_steps=None if last is None else last.env_steps,
        best_return=best,
    )
