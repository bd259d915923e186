"""Jobs for tests: a learner's `LearnerService` in this process, and roles that run in threads beside it."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import reverb

from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.cluster.roles import ProcessId
from tfdqn.cluster.roles import Role as Roles
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.membership import Membership
from tfdqn.coordination.messages import EvaluatorReport, Nothing
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.errors import UserError
from tfdqn.networks.factory import q_network
from tfdqn.replay.items.kinds import make_item_kind, table_sizes
from tfdqn.replay.reverb.server import TABLE, pace_limiter, transitions_table
from tfdqn.replay.reverb.shards import DistributedReplayRatio
from tfdqn.roles.context import RoleContext
from tfdqn.system.addresses import free_addresses, host_and_port
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.registry import resolve_spec

_ELSEWHERE = ("elsewhere:1", "elsewhere:2")
ACTOR = ProcessId(Roles.ACTOR, 1)
FAST = ("health.beat_seconds=0.05", "health.dead_after_seconds=5.0", "acting.actors=2")


def free_address() -> str:
    """On loopback, with a port that nobody has just now."""
    return free_addresses(1)[0]


def weights(config: Config, task_spec: TaskSpec, seed: int = 0) -> dict[str, np.ndarray]:
    """Of a new network, by name."""
    network = q_network(config, task_spec, seed=seed)
    network.create_variables()
    return {name: weight.numpy() for name, weight in network.named_weights().items()}


class _Service(LearnerService):
    """One that keeps what the evaluator reports, after an empty report."""

    def __init__(self, *arguments: Any):
        self.reports = [EvaluatorReport()]
        super().__init__(*arguments)

    def _take_evaluated(self, evaluated: EvaluatorReport) -> Nothing:
        self.reports.append(evaluated)
        return super()._take_evaluated(evaluated)


class Learner:
    """A `LearnerService` at an address, with weights to give out, which may end and be followed by another life.

    Args:
      config: the job's.
      given: published at once, as version 0.
    """

    def __init__(self, config: Config, given: Mapping[str, np.ndarray] | None = None):
        self.config, self.address = config, free_address()
        self.task_spec = resolve_spec(config.task)
        self.board = WeightsBoard()
        self.publish(0, weights(config, self.task_spec) if given is None else given)
        self.begin()

    def begin(self) -> _Service:
        """Another life."""
        topology = Topology(learner=self.address, worker=_ELSEWHERE, parameter_server=_ELSEWHERE, actor=8, evaluator=1)
        self.service = _Service(topology, self.config, self.task_spec, self.board)
        return self.service

    def publish(self, version: int, given: Mapping[str, np.ndarray]) -> None:
        self.board.put(VersionedWeights(version, dict(given)))


@contextmanager
def learner(config: Config, given: Mapping[str, np.ndarray] | None = None) -> Iterator[Learner]:
    """One whose life, the first or a later one, ends with the block."""
    made = Learner(config, given)
    try:
        yield made
    finally:
        made.service.close()


def membership(address: str, config: Config) -> Membership:
    """Of an actor, with the learner at an address."""
    return Membership(ACTOR, Topology(learner=address, actor=2), config, lambda line: None)


class Role:
    """A role in a thread of its own.

    Args:
      run: the role's function.
      config, topology, process_id, run_dir: of its context; `say` and `interrupted` are this class's.
    """

    def __init__(
        self,
        run: Callable[[RoleContext], bool],
        config: Config,
        topology: Topology,
        process_id: ProcessId,
        run_dir: Path,
    ):
        self.said: list[str] = []
        self.interrupted = threading.Event()
        self.error: BaseException | None = None
        self.is_over: bool | None = None  # as it said at its end
        self._context = RoleContext(config, topology, process_id, run_dir, self.said.append, self.interrupted.is_set)
        self._run = run
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def ended(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits for its end; raises what ended it."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"{self._context.process_id} goes on: {self.said}"
        if self.error is not None:
            raise self.error

    def ends_well(self) -> bool:
        """Asks it to stop, and waits; whether nothing was wrong."""
        self.interrupted.set()
        self.ended()
        return True

    def _play(self) -> None:
        try:
            self.is_over = self._run(self._context)
        except (UserError, Exception) as error:
            self.error = error


@contextmanager
def role(
    run: Callable[[RoleContext], bool], config: Config, topology: Topology, process_id: ProcessId, run_dir: Path
) -> Iterator[Role]:
    """A role that has been asked to stop, and has ended, when the block has."""
    made = Role(run, config, topology, process_id, run_dir)
    try:
        yield made
    finally:
        made.interrupted.set()
        made._thread.join(PATIENCE_SECONDS)


@contextmanager
def replay_server(config: Config, task_spec: TaskSpec, address: str) -> Iterator[reverb.Client]:
    """A table that holds actors to the replay ratio, at an address of this process."""
    kind = make_item_kind(config, task_spec)
    limits = DistributedReplayRatio(config, kind).limits()
    assert limits is not None
    table = transitions_table(
        kind.signature, table_sizes(config, kind).max_items, pace_limiter(*limits), config.priorities
    )
    server = reverb.Server([table], port=host_and_port(address)[1])
    client = reverb.Client(address)
    try:
        yield client
    finally:
        stopping = threading.Thread(target=server.stop, daemon=True)  # samplers may hold it up
        stopping.start()
        stopping.join(5)


def stored(client: reverb.Client) -> int:
    """Items that were ever inserted."""
    return int(client.server_info(timeout=60)[TABLE].rate_limiter_info.insert_stats.completed)
