"""A job that learns in lockstep, every process on a host of its own: it learns, and a worker that is cut off takes the
learner along; both come back.

Only root can make such hosts; elsewhere these tests are skipped.
"""

from pathlib import Path

import pytest

from tests.support.launched_jobs import QUICK_HEALTH
from tests.support.network_jobs import far_job
from tests.support.network_namespaces import Network, network
from tests.support.tiny_runs import tiny
from tfdqn.cluster.roles import LEARNER, ProcessId, Role, process_counts
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.system.addresses import with_host

WORKER = ProcessId(Role.WORKER)
WAYS = {
    "multi_worker": ["learner.strategy=multi_worker", "replay.shards=2"],
    "averaging": ["learner.strategy=averaging", "learner.averaging_period_train_steps=5"],
    "ensemble": ["ensemble.size=2", "ensemble.execution=processes"],
}

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def everybody(config: Config) -> list[ProcessId]:
    counts = process_counts(config, has_evaluator=False)
    return [ProcessId(role, i) for role, count in counts.items() for i in range(count)]


def topology(config: Config, hosts: Network, version: int) -> Topology:
    """By IPv4 or IPv6."""

    def address(process_id: ProcessId, port: int) -> str:
        name = process_id.file_stem
        return with_host(port, hosts.address(name) if version == 4 else hosts.address_v6(name))

    def at(role: Role) -> tuple[str, ...]:
        return tuple(address(each, 2222) for each in everybody(config) if each.role is role)

    return Topology(
        learner=at(Role.LEARNER)[0],
        chief=address(LEARNER, 2223),
        replay_server=at(Role.REPLAY_SERVER),
        worker=at(Role.WORKER),
        actor=config.acting.actors,
    )


@pytest.mark.parametrize(("way", "version"), [("multi_worker", 4), ("averaging", 6), ("ensemble", 4)])
def test_a_worker_in_lockstep_that_is_cut_off_takes_the_learner_along_and_both_come_back(
    tmp_path: Path, way: str, version: int
) -> None:
    often = ("stop.env_steps=1_000_000_000", "checkpoint.interval_seconds=2")
    config = tiny(*WAYS[way], *often, *QUICK_HEALTH)
    hosts_of = {process_id: process_id.file_stem for process_id in everybody(config)}
    with (
        network(list(hosts_of.values())) as hosts,
        far_job(tmp_path, config, topology(config, hosts, version), hosts, hosts_of) as job,
    ):
        job.until_learning()
        saved = job.until_saved()
        learner, worker = job.pid(LEARNER), job.pid(WORKER)
        hosts.cut(hosts_of[WORKER])
        job.until(lambda: job.pid(LEARNER) not in (learner, None), "the next learner", 60)
        assert job.statuses(LEARNER) == [75]
        assert "worker 0" in job.log(LEARNER)
        hosts.mend(hosts_of[WORKER])
        job.until(lambda: job.pid(WORKER) not in (worker, None), "the next worker")
        job.until_learning(beyond=saved.train_steps)
        job.record_progress()
        job.assert_not_behind(saved)
        assert "Traceback" not in job.log(LEARNER) + job.log(WORKER)
