"""The actor's process: it fills replay and is counted, whatever becomes of the learner, the servers or itself."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
import reverb

from tests.jobs import Learner, Role, free_address, learner, replay_server, role, stored, until
from tests.runs import tiny
from tfdqn import work_clock
from tfdqn.acting.actor import Actor
from tfdqn.acting.central_inference import Inference
from tfdqn.acting.policy import Policy, make_q_function
from tfdqn.beat_files import VARIABLE
from tfdqn.config import Config
from tfdqn.errors import ConfigError, PeerLostError, TaskError
from tfdqn.membership import FINISHING, OVER
from tfdqn.messages import Beat, Counts
from tfdqn.replay.remote import remote_sampler
from tfdqn.replay.remote_writer import HELD_BACK
from tfdqn.roles import actor_loop
from tfdqn.roles.actor import run
from tfdqn.tasks.batched import BatchedTask
from tfdqn.topology import Member, Topology
from tfdqn.topology import Role as Roles

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


@pytest.fixture(autouse=True)
def beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "beats"))


class Job:
    """A learner, a replay server, and actors that a test starts."""

    def __init__(self, there: Learner, address: str, client: reverb.Client, folder: Path):
        self.learner, self.client, self._folder = there, client, folder
        self._topology = Topology(learner=there.address, replay_server=(address,), actor=2)

    def actor(self, index: int = 0, config: Config | None = None):  # type: ignore[no-untyped-def]
        member = Member(Roles.ACTOR, index)
        return role(run, config or self.learner.config, self._topology, member, self._folder)

    def beat(self, index: int = 0) -> Beat | None:
        found = [each.beat for each in self.learner.control.roster.status()]
        return next((beat for beat in found if beat.member.index == index), None)

    def state(self, index: int = 0) -> str:
        beat = self.beat(index)
        return "" if beat is None else beat.state

    def counts(self) -> Counts:
        return self.learner.control.roster.counts()

    def has_acted(self, actor: Role, env_steps: int) -> None:
        until(lambda: self.counts().env_steps > env_steps or actor.error, f"{env_steps} steps")
        assert actor.error is None, actor.error


@contextmanager
def job_of(config: Config, folder: Path) -> Iterator[Job]:
    address = free_address()
    with learner(config) as there, replay_server(config, there.task_spec, address) as client:
        yield Job(there, address, client, folder)


@pytest.fixture
def free(tmp_path: Path) -> Iterator[Job]:
    with job_of(FREE, tmp_path) as job:
        yield job


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Job]:
    with job_of(HELD, tmp_path) as job:
        yield job


def test_it_writes_what_it_counts_and_tells_how_it_stands(free: Job) -> None:
    with free.actor() as actor:
        free.has_acted(actor, 500)
        until(lambda: (beat := free.beat()) is not None and beat.episode_return is not None, "episodes")
        beat = free.beat()
        assert beat is not None
        assert (beat.state, beat.weights_version) == ("acting", 0)
        assert beat.episode_return == beat.episode_length > 5  # CartPole's reward is 1 a step
        assert actor.ends_well() and actor.is_over is False
    counts, blocks = free.counts(), stored(free.client)
    assert counts.episodes > 10
    # Of n_step 1 each step is a transition: all are in the table but those of a block that is not full.
    assert counts.env_steps - 4 < 4 * blocks <= counts.env_steps


def test_weights_are_taken_as_they_come(free: Job) -> None:
    with free.actor() as actor:
        free.has_acted(actor, 100)
        free.learner.publish(50, free.learner.board.get().weights)
        until(lambda: (beat := free.beat()) is not None and beat.weights_version == 50, "new weights")


def test_two_actors_have_rungs_and_draws_of_their_own(free: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Policy] = []
    initialise = Policy.__init__

    def noted(self: Policy, *arguments, **named) -> None:  # type: ignore[no-untyped-def]
        initialise(self, *arguments, **named)
        made.append(self)

    monkeypatch.setattr(Policy, "__init__", noted)
    with free.actor(0) as one, free.actor(1) as other:
        free.has_acted(one, 200)
        until(lambda: free.state(0) == free.state(1) == "acting", "both")
        assert one.error is other.error is None
    rungs = sorted(tuple(policy._exponents) for policy in made)
    np.testing.assert_allclose(np.concatenate(rungs), 1 + 7 * np.arange(8) / 7)


def test_exploration_fades_by_the_steps_of_all(free: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    choose = Policy._choose
    monkeypatch.setattr(
        Policy,
        "_choose",
        lambda self, q, legal, rng, steps: (seen.append(steps), choose(self, q, legal, rng, steps))[1],
    )
    free.learner.control.roster.start_from(Counts(env_steps=5000))
    with free.actor() as actor:
        free.has_acted(actor, 5100)
    assert seen[0] == 5000
    assert all(later >= earlier for earlier, later in pairwise(seen))


def test_an_actor_that_starts_again_does_not_repeat_itself(
    free: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    reset, make_actor = BatchedTask.reset, actor_loop.make_actor
    monkeypatch.setattr(BatchedTask, "reset", lambda self, seed: (seeds.append(seed), reset(self, seed))[1])
    monkeypatch.setattr(
        actor_loop, "make_actor", lambda *given: (seeds.append(given[5]), make_actor(*given))[1]
    )
    for _ in range(2):
        with free.actor() as actor:
            until(lambda: free.state() == "acting" or actor.error, "acting")
            assert actor.ends_well()
    assert len(seeds) == len(set(seeds)) == 4


def test_it_stops_at_the_jobs_last_step_and_ends_with_the_job(tmp_path: Path) -> None:
    config = tiny(*KEYS, "learner.updates_per_call=200", "stop.env_steps=1000")
    with job_of(config, tmp_path) as job:
        with job.actor() as actor:
            until(lambda: job.state() == "done acting" or actor.error, "its end of acting")
            until(lambda: job.counts().env_steps >= 1000 or actor.error, "its last counts")
            assert job.counts().env_steps < 1000 + 4
            job.learner.control.phase = FINISHING
            until(lambda: job.state() == "done acting", "patience")
            job.learner.control.phase = OVER
            actor.ended()
        assert job.counts().env_steps - 4 < 4 * stored(job.client) <= job.counts().env_steps


def test_it_is_held_back_while_nobody_learns_and_goes_on_when_somebody_does(held: Job) -> None:
    with held.actor() as actor:
        until(lambda: held.state() == HELD_BACK or actor.error, "being held back")
        assert actor.error is None
        steps = held.counts().env_steps
        # 100 to begin with, three calls of 20, and what is under way to a table that takes no more: some 40 blocks
        assert 160 <= steps <= 160 + 4 * 40
        take_samples(held, 20)
        until(lambda: held.counts().env_steps > steps + 60, "further steps")
        assert actor.ends_well()


def test_one_that_is_held_back_joins_the_learners_next_life(held: Job) -> None:
    with held.actor() as actor:
        until(lambda: held.state() == HELD_BACK or actor.error, "being held back")
        until(lambda: held.counts().env_steps > 0, "counts")
        before = held.counts()
        held.learner.control.close()
        control = held.learner.begin()
        control.roster.start_from(before)
        until(lambda: control.roster.present(Roles.ACTOR), "joining again")
        assert held.counts() == before  # told once
        assert actor.ends_well()


def test_it_acts_on_while_the_learner_is_away_and_tells_the_next_what_it_missed(free: Job) -> None:
    with free.actor() as actor:
        free.has_acted(actor, 100)
        free.learner.control.close()
        before, blocks = free.counts().env_steps, stored(free.client)
        until(lambda: stored(free.client) > blocks + 100, "blocks while nobody listens")
        free.learner.begin().roster.start_from(Counts(env_steps=before))
        free.has_acted(actor, before + 400)
        assert actor.ends_well()
        counted, written = free.counts().env_steps, 4 * stored(free.client)
    # What the old life heard in its last moments, and the old answer did not come through, is told twice at most.
    assert written <= counted <= written + 4 + 4 * 100


def test_when_the_job_finishes_it_stops_at_once_and_beats_on(held: Job) -> None:
    with held.actor() as actor:
        until(lambda: held.state() == HELD_BACK or actor.error, "being held back")
        held.learner.control.phase = FINISHING
        until(lambda: held.state() == "done acting", "its end of acting")
        held.learner.control.phase = OVER
        actor.ended()
        assert actor.is_over is True


def test_when_the_learner_trains_again_a_finished_actor_starts_again_with_it(held: Job) -> None:
    with held.actor() as actor:
        until(lambda: held.state() == HELD_BACK or actor.error, "being held back")
        held.learner.control.phase = FINISHING
        until(lambda: held.state() == "done acting", "its end of acting")
        held.learner.control.close()
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
        with role(run, FREE, topology, Member(Roles.ACTOR), tmp_path) as actor:
            words = f"waiting for replay server 0 at {address}"
            until(lambda: words in [each.beat.state for each in there.control.roster.status()], words)
            with replay_server(FREE, there.task_spec, address) as client:
                until(lambda: stored(client) > 10 or actor.error, "blocks")
                assert actor.ends_well()


def test_another_configuration_or_another_task_is_refused(free: Job) -> None:
    with (
        free.actor(config=HELD) as actor,
        pytest.raises(ConfigError, match="configuration is not the learner"),
    ):
        actor.ended()
    there = free.learner
    there.control.task_spec = msgspec.structs.replace(there.task_spec, num_actions=(3,))
    with free.actor() as actor, pytest.raises(TaskError, match="num_actions"):
        actor.ended()


def test_an_environment_whose_process_has_ended_is_a_reason_to_start_again(tmp_path: Path) -> None:
    config = tiny(*KEYS, "task.vectorization=async", "task.num_envs=2")
    with job_of(config, tmp_path) as job, job.actor() as actor:
        job.has_acted(actor, 50)
        for pid in environments():
            os.kill(pid, signal.SIGKILL)
        take_samples(job, 20)  # so that it goes on acting
        with pytest.raises(PeerLostError, match="has ended"):
            actor.ended()


def test_an_actor_that_hangs_ends_by_itself_but_not_one_that_is_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []
    monkeypatch.setattr(work_clock, "_end", ends.append)
    released, step = threading.Event(), Actor.step

    def hangs(self: Actor, env_steps: int) -> int:
        released.wait()
        return step(self, env_steps)

    with job_of(tiny(*KEYS, "health.stuck_after_seconds=1"), tmp_path) as job, job.actor() as actor:
        until(lambda: job.state() == HELD_BACK or actor.error, "being held back")
        beyond_the_limit = time.monotonic() + 2
        until(lambda: time.monotonic() > beyond_the_limit, "patience")
        assert ends == []
        monkeypatch.setattr(Actor, "step", hangs)
        with job.actor(1) as other:
            until(lambda: ends or other.error, "its end")
            released.set()
    assert ends[0].startswith("actor 1 has not got on for 1 s (acting)")


def test_where_the_learner_computes_its_values_it_acts_as_ever_and_waits_while_there_is_none(
    tmp_path: Path,
) -> None:
    config = msgspec.structs.replace(FREE, acting=msgspec.structs.replace(FREE.acting, inference="central"))
    with job_of(config, tmp_path) as job:
        there = job.learner
        q_function = make_q_function(config, there.task_spec)
        with closing(Inference(q_function, there.task_spec, there.board, 64)) as inference:
            there.control.q_values = inference
            with job.actor(0) as actor, job.actor(1) as other:
                until(lambda: job.state(0) == job.state(1) == "acting" or actor.error or other.error, "both")
                job.has_acted(actor, 500)
                there.publish(50, there.board.get().weights)
                until(lambda: (beat := job.beat()) is not None and beat.weights_version == 50, "new weights")
                there.control.close()
                control = there.begin()  # which computes nothing yet
                until(lambda: job.state(0).startswith("waiting for Q-values"), "waiting")
                control.q_values = inference
                job.has_acted(actor, job.counts().env_steps + 200)
                assert actor.ends_well() and other.ends_well()


def take_samples(job: Job, calls: int) -> None:
    """As a learner does that makes so many calls of five updates."""
    config = job.learner.config
    size = 5 * config.learner.batch_size
    sample = remote_sampler([job.client.server_address], config, job.learner.task_spec, size)
    for _ in range(calls):
        sample()


def environments() -> list[int]:
    """Processes of asynchronous environments that this one's fork server has made."""
    import multiprocessing.forkserver

    server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [int(child) for child in children]
