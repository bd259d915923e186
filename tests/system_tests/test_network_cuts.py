"""The table of deaths, its network column: every role on a host of its own, whose link is cut and mended in turn.

Only root can make such hosts; elsewhere these tests are skipped.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import counters
from tests.support.launched_jobs import QUICK_HEALTH
from tests.support.network_jobs import FarJob, far_job
from tests.support.network_namespaces import Network, network
from tests.support.tiny_runs import tiny
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.cluster.topology import Topology

ACTOR, EVALUATOR = ProcessId(Role.ACTOR, 1), ProcessId(Role.EVALUATOR)
REPLAY_SERVER, WORKER = ProcessId(Role.REPLAY_SERVER, 1), ProcessId(Role.WORKER, 1)
PARAMETER_SERVER = ProcessId(Role.PARAMETER_SERVER)
HOSTS = {
    LEARNER: "learner",
    EVALUATOR: "evaluator",
    PARAMETER_SERVER: "parameters",
    **{ProcessId(Role.WORKER, i): f"worker{i}" for i in range(2)},
    **{ProcessId(Role.REPLAY_SERVER, i): f"replay{i}" for i in range(2)},
    **{ProcessId(Role.ACTOR, i): f"actor{i}" for i in range(2)},
}
SETTINGS = (
    "learner.strategy=parameter_server",
    "learner.workers=2",
    "acting.actors=2",
    "replay.shards=2",
    "stop.env_steps=1_000_000_000",
    "evaluation.interval_env_steps=2_000",
    "evaluation.episodes=2",
    "checkpoint.interval_seconds=2",
    *QUICK_HEALTH,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def topology(hosts: Network) -> Topology:
    def at(role: Role, count: int) -> tuple[str, ...]:
        return tuple(f"{hosts.address(HOSTS[ProcessId(role, i)])}:2222" for i in range(count))

    return Topology(
        learner=at(Role.LEARNER, 1)[0],
        chief=f"{hosts.address(HOSTS[LEARNER])}:2223",
        replay_server=at(Role.REPLAY_SERVER, 2),
        parameter_server=at(Role.PARAMETER_SERVER, 1),
        worker=at(Role.WORKER, 2),
        actor=2,
        evaluator=1,
    )


@pytest.fixture
def job(tmp_path: Path) -> Iterator[FarJob]:
    """One that learns, all of whose processes are there, and that has saved."""
    with (
        network(list(HOSTS.values())) as hosts,
        far_job(tmp_path, tiny(*SETTINGS), topology(hosts), hosts, HOSTS) as running,
    ):
        running.until_learning()
        for process_id in HOSTS.keys() - {LEARNER}:
            running.until(lambda process_id=process_id: running.is_heard(process_id), f"{process_id} at the learner")
        running.until_saved()
        yield running


def test_who_serves_other_hosts_says_what_that_means(job: FarJob) -> None:
    for process_id in (LEARNER, WORKER, PARAMETER_SERVER, REPLAY_SERVER):
        assert f"warning: {process_id} serves other hosts at {job.address(process_id)}" in job.log(process_id)
    assert "serves other hosts" not in job.log(ACTOR)


def test_while_an_actor_a_worker_or_the_evaluator_is_cut_off_the_rest_goes_on(job: FarJob) -> None:
    for process_id in (ACTOR, WORKER, EVALUATOR):
        learner, before = job.pid(LEARNER), job.pid(process_id)
        saved = counters(job.run.path)
        job.network.cut(HOSTS[process_id])
        job.until(lambda process_id=process_id: not job.is_heard(process_id), f"silence of {process_id}")
        job.record_progress()
        job.until_saved()
        job.network.mend(HOSTS[process_id])
        job.until(lambda process_id=process_id: job.is_heard(process_id), f"{process_id} at the learner")
        job.until_at_work(process_id)
        job.record_progress()
        assert (job.pid(LEARNER), job.pid(process_id)) == (learner, before), "a cut is no death"
        job.assert_not_behind(saved)


def test_while_a_replay_server_is_cut_off_all_wait_for_it_and_say_so(job: FarJob) -> None:
    everybody = {process_id: job.pid(process_id) for process_id in HOSTS}
    saved = counters(job.run.path)
    job.network.cut(HOSTS[REPLAY_SERVER])
    named = f"replay server 1 at {job.address(REPLAY_SERVER)}"
    job.until(lambda: job.silent_replay_seconds(1) > 5, "silence of the replay server")
    job.until(lambda: f"waiting: {named} has been silent" in job.log(LEARNER), "the learner's word for it")
    actors = [ProcessId(Role.ACTOR, i) for i in range(2)]
    held = ("held back by the replay ratio", f"waiting for {named}")  # whichever server it writes to now
    job.until(lambda: all(job.state(actor) in held for actor in actors), "the actors' word for it")
    job.network.mend(HOSTS[REPLAY_SERVER])
    job.until(lambda: job.silent_replay_seconds(1) < 3, "answer of the replay server")
    job.until(lambda: "all replay servers answer again" in job.log(LEARNER), "the learner's word for it")
    job.record_progress(200)
    assert {process_id: job.pid(process_id) for process_id in HOSTS} == everybody, "a cut is no death"
    job.assert_not_behind(saved)


def test_a_replay_server_whose_host_loses_power_comes_back_with_what_it_had(job: FarJob) -> None:
    others = {process_id: job.pid(process_id) for process_id in HOSTS if process_id != REPLAY_SERVER}
    saved = counters(job.run.path)
    job.host_is_lost(REPLAY_SERVER)
    job.until(lambda: job.silent_replay_seconds(1) > 5, "silence of the replay server")
    job.host_is_back(REPLAY_SERVER)
    job.until(lambda: "replay server 1: restored" in job.log(REPLAY_SERVER), "restored transitions")
    job.record_progress(200)
    assert {process_id: job.pid(process_id) for process_id in others} == others
    job.assert_not_behind(saved)


def test_a_parameter_server_that_is_cut_off_takes_the_learner_along_and_both_resume(job: FarJob) -> None:
    learner, before = job.pid(LEARNER), job.pid(PARAMETER_SERVER)
    saved = counters(job.run.path)
    job.network.cut(HOSTS[PARAMETER_SERVER])
    # Ten seconds from its silence to the learner's end, and the machine may be busy.
    job.until(lambda: job.pid(LEARNER) != learner, "the learner's end", 30)
    assert "parameter server 0 has been silent" in job.log(LEARNER)
    assert job.statuses(LEARNER) == [75]
    job.until(lambda: "waiting for parameter server 0" in job.log(LEARNER), "the next learner's wait")
    job.network.mend(HOSTS[PARAMETER_SERVER])
    job.until(lambda: job.pid(PARAMETER_SERVER) not in (before, None), "the next parameter server")
    job.until_learning(beyond=saved.train_steps)
    assert "resumed at" in job.log(LEARNER)
    job.record_progress()
    job.assert_not_behind(saved)


def test_a_learner_that_is_cut_off_resumes_and_the_actors_stay(job: FarJob) -> None:
    actors = [job.pid(ProcessId(Role.ACTOR, i)) for i in range(2)]
    saved = counters(job.run.path)
    learner = job.pid(LEARNER)
    job.network.cut(HOSTS[LEARNER])
    job.until(lambda: job.pid(LEARNER) != learner, "the learner's end", 30)  # it can't hear its parameter server
    job.network.mend(HOSTS[LEARNER])
    job.until_learning(beyond=saved.train_steps)
    job.record_progress()
    assert [job.pid(ProcessId(Role.ACTOR, i)) for i in range(2)] == actors
    job.assert_not_behind(saved)
