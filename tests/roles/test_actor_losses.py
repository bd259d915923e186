"""What the actor's process does where the learner or a replay server is away, or it can't go on itself."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.support.actor_jobs import FREE, KEYS, Job, job_of
from tests.support.threaded_jobs import free_address, learner, replay_server, role, stored
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.acting.actor import Actor
from tfdqn.cluster.roles import ProcessId
from tfdqn.cluster.roles import Role as Roles
from tfdqn.cluster.topology import Topology
from tfdqn.coordination import stall_detector
from tfdqn.coordination.messages import Counts, Phase
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.errors import PeerLostError, ProcessFailedError
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.remote_writer import HELD_BACK
from tfdqn.replay.reverb.sampling import ReverbSource
from tfdqn.roles.entry import run_role


def test_it_is_held_back_while_nobody_learns_and_goes_on_when_somebody_does(held: Job) -> None:
    with held.actor() as actor:
        # 100 to begin with, three calls of 20; a server that is slow holds it back as well, for a moment.
        until(lambda: (held.state() == HELD_BACK and held.counts().env_steps >= 160) or actor.error, "being held back")
        assert actor.error is None
        steps = held.counts().env_steps
        assert steps <= 160 + 4 * 40  # and what is under way to a table that takes no more: some 40 blocks
        take_samples(held, 20)
        until(lambda: held.counts().env_steps > steps + 60, "further steps")
        assert actor.ends_well()


def test_one_that_is_held_back_joins_the_learners_next_life(held: Job) -> None:
    with held.actor() as actor:
        until(lambda: held.state() == HELD_BACK or actor.error, "being held back")
        until(lambda: held.counts().env_steps > 0, "counts")
        before = held.counts()
        held.learner.service.close()
        service = held.learner.begin()
        service.roster.start_from(before)
        until(lambda: service.roster.present(Roles.ACTOR), "joining again")
        assert held.counts() == before  # told once
        assert actor.ends_well()


def test_it_acts_on_while_the_learner_is_away_and_tells_the_next_what_it_missed(free: Job) -> None:
    with free.actor() as actor:
        free.until_acted(actor, 100)
        free.learner.service.close()
        before, blocks = free.counts().env_steps, stored(free.client)
        until(lambda: stored(free.client) > blocks + 100, "blocks while nobody listens")
        free.learner.begin().roster.start_from(Counts(env_steps=before))
        free.until_acted(actor, before + 400)
        assert actor.ends_well()
        counted, written = free.counts().env_steps, 4 * stored(free.client)
    # What the old life heard in its last moments, and the old answer did not come through, is told twice at most.
    assert written <= counted <= written + 4 + 4 * 100


def test_it_writes_nothing_while_the_next_learner_has_not_begun_and_may_empty_replay(free: Job) -> None:
    with free.actor() as actor:
        free.until_acted(actor, 100)
        there, given = free.learner, free.learner.board.get()
        there.service.close()
        there.board = WeightsBoard()
        there.begin()
        until(lambda: free.state() == "waiting for the learner to begin" or actor.error, "waiting")
        until(lambda: (heartbeat := free.heartbeat()) is not None and heartbeat.steps_per_second == 0, "a pause")
        there.board.put(given)
        free.until_acted(actor, free.counts().env_steps + 100)
        assert actor.ends_well()


def test_when_the_learner_trains_again_a_finished_actor_starts_again_with_it(held: Job) -> None:
    with held.actor() as actor:
        until(lambda: held.state() == HELD_BACK or actor.error, "being held back")
        held.learner.service.phase = Phase.FINISHING
        until(lambda: held.state() == "done acting", "its end of acting")
        held.learner.service.close()
        held.learner.begin()
        with pytest.raises(PeerLostError):
            actor.ended()


def test_a_user_who_stops_it_need_not_wait_for_a_server_that_holds_it_back(held: Job) -> None:
    with held.actor() as actor:
        until(lambda: held.state() == HELD_BACK or actor.error, "being held back")
        assert actor.ends_well()
    assert held.counts().env_steps >= 4 * stored(held.client)


def test_it_waits_for_a_replay_server_by_name(tmp_path: Path) -> None:
    with learner(FREE) as there:
        address = free_address()
        topology = Topology(learner=there.address, replay_server=(address,), actor=2)
        with role(run_role, FREE, topology, ProcessId(Roles.ACTOR), tmp_path) as actor:
            words = f"waiting for replay server 0 at {address}"
            until(lambda: words in [each.heartbeat.state for each in there.service.roster.status()], words)
            with replay_server(FREE, there.task_spec, address) as client:
                until(lambda: stored(client) > 10 or actor.error, "blocks")
                assert actor.ends_well()


def test_an_environment_whose_process_has_ended_is_a_reason_to_start_again(tmp_path: Path) -> None:
    config = tiny(*KEYS, "task.vectorization=async", "task.num_envs=2")
    with job_of(config, tmp_path) as job, job.actor() as actor:
        job.until_acted(actor, 50)
        for pid in environments():
            os.kill(pid, signal.SIGKILL)
        take_samples(job, 20)  # so that it goes on acting
        with pytest.raises(ProcessFailedError, match="was killed by signal 9"):
            actor.ended()


def test_an_environment_that_fails_is_a_reason_to_start_again_and_its_traceback_is_in_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fails = ("task.id=tests.support.toy_environments:Fails-v0", "task.kwargs={at=30}", "task.restarts=1")
    config = tiny(*KEYS, *fails, "task.num_envs=1", "exploration.ladder_alpha=0.0")
    with job_of(config, tmp_path) as job, job.actor() as actor:
        until(lambda: actor.error, "its end")
        with pytest.raises(
            ProcessFailedError, match=r"Fails-v0, environment 0, step .*: RuntimeError: the simulator is gone"
        ):
            actor.ended()
        until(lambda: job.counts().environment_restarts == 1, "what it told at its end")
    assert capfd.readouterr().err.count("Traceback") == 1


def test_an_actor_that_hangs_ends_by_itself_but_not_one_that_is_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []
    monkeypatch.setattr(stall_detector, "end_stuck", lambda line, _: ends.append(line))
    released, step = threading.Event(), Actor.step

    def hangs(self: Actor, env_steps: int) -> int:
        released.wait()
        return step(self, env_steps)

    with job_of(tiny(*KEYS, "health.stuck_after_seconds=1"), tmp_path) as job, job.actor() as actor:
        until(lambda: job.state() == HELD_BACK or actor.error, "being held back")
        del ends[:]  # a machine may be slow until then
        beyond_the_limit = time.monotonic() + 2
        until(lambda: time.monotonic() > beyond_the_limit, "patience")
        assert ends == []
        monkeypatch.setattr(Actor, "step", hangs)
        with job.actor(1) as other:
            said = re.compile(r"actor 1 has made no progress for \d+ s \(acting, in .*hangs at ")
            until(lambda: any(map(said.match, ends)) or other.error, "its end")
            released.set()
    assert any(map(said.match, ends))


def take_samples(job: Job, calls: int) -> None:
    """As a learner does that makes so many calls of five updates."""
    config = job.learner.config
    size = 5 * config.learner.batch_size
    kind = make_item_kind(config, job.learner.task_spec)
    sample = ReverbSource([job.client.server_address], kind, config.priorities).sampler(size)
    for _ in range(calls):
        sample()


def environments() -> list[int]:
    """Processes of asynchronous environments that this one's fork server has made."""
    servers = [
        pid
        for pid in children(os.getpid())
        if b"multiprocessing.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return [pid for server in servers for pid in children(server)]


def children(pid: int) -> list[int]:
    """Of all its threads."""
    found = (thread.read_text().split() for thread in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for each in found for child in each]
