"""What tests of the actor's process share: a job of a learner, a replay server, and actors that a test starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import reverb

from tests.support.threaded_jobs import Learner, Role, free_address, learner, replay_server, role
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.cluster.roles import ProcessId
from tfdqn.cluster.roles import Role as Roles
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.coordination.messages import Counts, Heartbeat
from tfdqn.roles.entry import run_role

KEYS = (
    "health.beat_seconds=0.05",
    "acting.fetch_interval_seconds=0.01",
    "acting.actors=2",
    "exploration.ladder_alpha=7.0",
)
# One update is 16 samples for 4 steps; a call is 5 updates, three of which acting may be ahead: 60 steps and the rest.
HELD = tiny(*KEYS)
# Never held back, and with an end.
FREE = tiny(*KEYS, "learner.updates_per_call=10000", "stop.env_steps=1000000", "replay.capacity=100000")


class Job:
    """A learner, a replay server, and actors that a test starts."""

    def __init__(self, there: Learner, address: str, client: reverb.Client, folder: Path):
        self.learner, self.client, self._folder = there, client, folder
        self._topology = Topology(learner=there.address, replay_server=(address,), actor=2)

    def actor(self, index: int = 0, config: Config | None = None):  # type: ignore[no-untyped-def]
        process_id = ProcessId(Roles.ACTOR, index)
        return role(run_role, config or self.learner.config, self._topology, process_id, self._folder)

    def heartbeat(self, index: int = 0) -> Heartbeat | None:
        found = [each.heartbeat for each in self.learner.service.roster.status()]
        return next((heartbeat for heartbeat in found if heartbeat.process_id.index == index), None)

    def state(self, index: int = 0) -> str:
        heartbeat = self.heartbeat(index)
        return "" if heartbeat is None else heartbeat.state

    def counts(self) -> Counts:
        return self.learner.service.roster.counts()

    def until_acted(self, actor: Role, env_steps: int) -> None:
        until(lambda: self.counts().env_steps > env_steps or actor.error, f"{env_steps} steps")
        assert actor.error is None, actor.error


@contextmanager
def job_of(config: Config, folder: Path) -> Iterator[Job]:
    address = free_address()
    with learner(config) as there, replay_server(config, there.task_spec, address) as client:
        yield Job(there, address, client, folder)
