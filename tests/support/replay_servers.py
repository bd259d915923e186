"""Replay servers for tests: as `ShardServer`s in this process, or as processes of their own."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.support.commands import Tfdqn
from tests.support.random_episodes import VECTOR, random_steps
from tests.support.tiny_runs import TINY
from tests.support.waiting import until
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.config.toml import dump, from_mapping
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.replay.reverb.remote_replay import RemoteReplay
from tfdqn.replay.reverb.remote_writer import RemoteWriter, remote_writer
from tfdqn.replay.reverb.shard_server import ShardServer
from tfdqn.storage.replay_directory import ShardDir
from tfdqn.system.addresses import free_addresses
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Experience

ENVS = 4


def config(*overrides: str) -> Config:
    """Blocks of four; four samples an insert, in blocks as in transitions; a call is five updates of sixteen."""
    return from_mapping(TINY, overrides)


def opened(folder: Path, settings: Config) -> ShardDir:
    """A replay server's directory, ready to be restored from."""
    made = ShardDir(folder)
    assert made.open(settings) == []
    return made


@contextmanager
def served(
    settings: Config, folder: Path, addresses: Sequence[str], task_spec: TaskSpec = VECTOR
) -> Iterator[list[ShardServer]]:
    """Servers in this process, which are closed with the block."""
    shards: list[ShardServer] = []
    try:
        for i, address in enumerate(addresses):
            shards.append(ShardServer(settings, task_spec, address, opened(folder / str(i), settings)))
        yield shards
    finally:
        for shard in shards:
            shard.close()


class Actor:
    """Writes random steps of four environments in a thread's own time; keeps count."""

    def __init__(self, settings: Config, addresses: Sequence[str], index: int = 0, task_spec: TaskSpec = VECTOR):
        self.reasons: list[str] = []  # to wait, each once in a row
        self.may_wait = True
        self.writer: RemoteWriter = remote_writer(settings, task_spec, addresses, ENVS, index, self._keep_waiting)
        self._steps = random_steps(task_spec, ENVS, 200, np.random.default_rng(index), 0.05)
        self._taken = 0
        self.written = 0

    def step(self) -> None:
        """One step of all environments. Raises GivenUpError."""
        self.written += self.writer.write(self._next())

    def write(self, transitions: int) -> None:
        """Steps until at least so many more are written."""
        wanted = self.written + transitions
        while self.written < wanted:
            self.step()

    def _next(self) -> Experience:
        self._taken += 1
        return self._steps[self._taken % len(self._steps)]

    def _keep_waiting(self, reason: str) -> bool:
        if self.reasons[-1:] != [reason]:
            self.reasons.append(reason)
        return self.may_wait


class Learner:
    """Takes the samples of the updates that are due, a call's at a time."""

    def __init__(self, settings: Config, addresses: Sequence[str], task_spec: TaskSpec = VECTOR):
        self.replay = RemoteReplay(settings, task_spec, addresses)
        self.calls = 0
        self._learner = settings.learner
        size = settings.learner.updates_per_call * settings.learner.batch_size
        self._sample = tf.function(self.replay.sampler(size), autograph=False)

    def learn(self) -> bool:
        """One call, if it is due."""
        if not self.replay.poll() or not self.replay.can_be_sampled():
            return False
        if self.replay.updates_due() < self._learner.updates_per_call:
            return False
        self._sample()
        self.calls += 1
        return True

    def learn_calls(self, count: int) -> None:
        """So many more calls."""
        wanted = self.calls + count
        until(lambda: self.learn() and self.calls >= wanted, f"{wanted} calls")


class Job:
    """Replay servers as processes, each of them `tfdqn run replay_server`, and a learner that they can join.

    Args:
      folder: where everything of theirs goes.
      settings: `replay.shards` says how many servers there are.
      processes: ends them with the test.
    """

    def __init__(self, folder: Path, settings: Config, processes: ExitStack, task_spec: TaskSpec = VECTOR) -> None:
        learner, *self.addresses = free_addresses(1 + settings.replay.shards)
        self.folder, self.run = folder, folder / "run"
        self._topology = Topology(learner=learner, replay_server=tuple(self.addresses), actor=1)
        (folder / "cluster.json").write_bytes(self._topology.to_json())
        (folder / "job.toml").write_text(dump(settings))
        self.service = LearnerService(self._topology, settings, task_spec, WeightsBoard())
        processes.callback(self.service.close)
        self._processes = processes
        self.servers = [self.start(i) for i in range(settings.replay.shards)]

    def start(self, index: int, *overrides: str) -> Tfdqn:
        """Starts a server, again if need be."""
        where = ("--cluster", "cluster.json", "--index", str(index), "--run-dir", str(self.run))
        environment: dict[str, Any] = {"TFDQN_BEATS": str(self.folder / "beats")}
        server = Tfdqn(self.folder, "run", "replay_server", "job.toml", *overrides, *where, environment=environment)
        self._processes.callback(server.kill)
        return server

    def checkpoints(self, index: int) -> list[Path]:
        """Every checkpoint of a server, half-written ones as well."""
        return sorted(ShardDir(self.run / "replay" / str(index)).checkpoints.iterdir())
