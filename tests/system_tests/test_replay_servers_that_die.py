"""Replay servers as processes that are killed, stopped and ended, while others write and sample."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

from tests.replay.reverb.test_remote_replay import TWO, acting
from tests.support.commands import PROJECT
from tests.support.priorities_through_a_death import DEAD, SETTINGS, live_through_a_death
from tests.support.random_episodes import VECTOR, random_steps, stacked
from tests.support.replay_servers import Actor, Job, Learner, config
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.replay.reverb.remote_writer import HELD_BACK, remote_writer
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.types import Experience

HEAVY = TaskSpec(
    id="Heavy", observation={"observation": ArraySpec(shape=(20_000,), dtype="float32")}, actions=discrete(2)
)


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """What it holds is ended with the test."""
    with ExitStack() as held:
        yield held


@pytest.mark.long
def test_a_killed_server_comes_back_with_its_checkpoint_and_the_others_go_on(
    tmp_path: Path, processes: ExitStack
) -> None:
    job = Job(tmp_path, config(), processes)
    (server,) = job.servers
    actor, learner = Actor(config(), job.addresses), Learner(config(), job.addresses)
    assert f"replay server 0: starts empty, serving at {job.addresses[0]}" in server.out
    actor.write(100)
    assert actor.writer.flush(PATIENCE_SECONDS)
    with acting(actor):
        learner.learn_calls(4)
        learner.replay.save()
        (saved,) = learner.replay._shards.counted()
        calls = learner.calls
        server.kill()
        job.service.close()  # it comes back without the learner
        assert not learner.replay.poll()
        until(lambda: any("waiting for replay server 0" in reason for reason in actor.reasons), "waiting")
        job.start(0)
        until(learner.replay.poll, "answer")
        (restored,) = learner.replay._shards.counted()
        assert restored.inserted >= saved.inserted
        assert restored.sampled >= saved.sampled
        learner.learn_calls(10)
        assert learner.calls == calls + 10


def test_ended_without_a_transition_it_saves_nothing(tmp_path: Path, processes: ExitStack) -> None:
    job = Job(tmp_path, config(), processes)
    (server,) = job.servers
    server.until(lambda: "starts empty" in server.out, "serving")
    server.send(signal.SIGTERM)
    assert server.ended() == 0
    assert "saved" not in server.out and not list(tmp_path.rglob("DONE"))


def test_ended_it_saves_and_another_configuration_is_refused_in_a_line(tmp_path: Path, processes: ExitStack) -> None:
    job = Job(tmp_path, config(), processes)
    (server,) = job.servers
    actor = Actor(config(), job.addresses)
    actor.write(80)
    assert actor.writer.flush(PATIENCE_SECONDS)
    server.send(signal.SIGTERM)
    assert server.ended() == 0
    assert "replay server 0: saved 80 transitions" in server.out
    other = job.start(0, "agent.n_step=3")
    assert other.ended() == 2
    (line,) = other.err.splitlines()
    assert "agent.n_step: 1 in the run, 3 now" in line
    again = job.start(0)
    again.until(lambda: "replay server 0: restored 80 transitions" in again.out, "restoring")


@pytest.mark.long
def test_one_of_two_servers_is_killed_over_and_over_and_the_ratio_holds(tmp_path: Path, processes: ExitStack) -> None:
    job = Job(tmp_path, TWO, processes)
    actors = [Actor(TWO, job.addresses, i) for i in range(2)]
    learner = Learner(TWO, job.addresses)
    with acting(*actors):
        for turn in range(4):
            learner.learn_calls(10)
            if turn % 2 == 0:  # every other time it loses what came since the checkpoint before
                learner.replay.save()
            index = turn % 2
            job.servers[index].kill()
            job.servers[index] = job.start(index)
            until(learner.replay.poll, "answer")
        learner.learn_calls(20)
    until(learner.replay.poll, "answer")
    for each in learner.replay._shards.counted():
        assert 4 * each.inserted - each.sampled <= 4 * 13 + 3 * 10 + 2 * 4
    assert learner.calls * 5 <= learner.replay.transitions() / 4


@pytest.mark.long
def test_priorities_outlive_the_death_of_one_of_two_servers(tmp_path: Path, processes: ExitStack) -> None:
    job = Job(tmp_path, SETTINGS, processes)

    def start_again() -> None:
        job.servers[DEAD] = job.start(DEAD)

    live_through_a_death(job.addresses, lambda: job.servers[DEAD].kill(), start_again)


@pytest.mark.long
@pytest.mark.parametrize("item", ["block", "frames"])
def test_a_stopped_server_is_named_within_seconds_and_blocks_nobody(
    tmp_path: Path, processes: ExitStack, item: str
) -> None:
    frames = ("replay.item=frames", "task.frame_stack=4", "agent.n_step=2") if item == "frames" else ()
    settings = config("replay.shards=2", *frames)
    spec = VECTOR if item == "block" else stacked(4)
    job = Job(tmp_path, settings, processes, spec)
    actor = Actor(settings, job.addresses, 0, spec)
    learner = Learner(settings, job.addresses, spec)
    with acting(actor):
        learner.learn_calls(5)
    until(lambda: not learner.learn() and learner.replay.poll(), "that the replay ratio lets the actor write")
    job.servers[1].send(signal.SIGSTOP)
    actor.may_wait = True
    with acting(actor):
        name = f"replay server 1 at {job.addresses[1]}"
        until(lambda: not learner.replay.poll(), "silence")
        (line,) = learner.replay.silent()
        assert line.startswith(f"{name} has been silent for ")
        until(lambda: any(name in reason for reason in actor.reasons), "waiting")
        job.servers[1].send(signal.SIGCONT)
        until(learner.replay.poll, "answer")
        learner.learn_calls(10)
        job.servers[1].send(signal.SIGSTOP)
    actor.writer.flush(1)  # comes back, whether or not something is on its way to that server
    job.servers[1].send(signal.SIGCONT)
    until(learner.replay.poll, "answer")
    until(lambda: learner.learn() or actor.writer.flush(1), "flushing")


@pytest.mark.long
def test_one_that_is_killed_while_it_writes_a_checkpoint_has_the_one_before(
    tmp_path: Path, processes: ExitStack
) -> None:
    settings = config("replay.block_size=1", "replay.min_size=1000")  # 1,000 transitions of 160 kB
    job = Job(tmp_path, settings, processes, HEAVY)
    server = job.servers[0]
    learner = Learner(settings, job.addresses, HEAVY)
    writer = remote_writer(settings, HEAVY, job.addresses, 4, 0, lambda reason: True)
    for taken in heavy_steps(100):
        writer.write(taken)
    assert writer.flush(PATIENCE_SECONDS)
    learner.replay.save()
    (whole,) = job.checkpoints(0)
    for taken in heavy_steps(140):
        writer.write(taken)
    assert writer.flush(PATIENCE_SECONDS)
    asking = threading.Thread(target=ignoring_errors, args=(learner.replay.save,), daemon=True)
    asking.start()
    until(lambda: len(job.checkpoints(0)) == 2, "second checkpoint")
    server.kill()
    assert whole in job.checkpoints(0)
    assert not (job.checkpoints(0)[1] / "DONE").exists(), "it was written before it could be killed"
    again = job.start(0)
    again.until(lambda: "replay server 0: restored 400 transitions" in again.out, "restoring")
    until(learner.replay.poll, "answer")
    assert job.checkpoints(0) == [whole]
    asking.join(60)
    learner.replay.save()
    (newer,) = job.checkpoints(0)
    assert newer != whole


def heavy_steps(count: int) -> Iterator[Experience]:
    rng = np.random.default_rng(0)
    (step,) = random_steps(HEAVY, 4, 1, rng, 0.0)
    for _ in range(count):
        observation = {"observation": rng.random((4, 20_000), np.float32)}
        yield step._replace(observation=observation, step=step.step._replace(observation=observation))


def ignoring_errors(function: Callable[[], None]) -> None:
    with suppress(Exception):
        function()


LEAVES = """
import sys
from tests.support.replay_servers import Actor, config
from tfdqn.replay.reverb.remote_writer import GivenUpError
actor = Actor(config(), sys.argv[1:])
actor.may_wait = False
try:
    actor.write(10_000)
except GivenUpError as reason:
    print(reason)
"""


@pytest.mark.long
def test_a_process_ends_though_what_it_wrote_is_never_taken(tmp_path: Path, processes: ExitStack) -> None:
    job = Job(tmp_path, config(), processes)
    job.servers[0].until(lambda: "starts empty" in job.servers[0].out, "serving")
    done = subprocess.run(
        [sys.executable, "-c", LEAVES, *job.addresses],
        cwd=PROJECT,
        timeout=PATIENCE_SECONDS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{HELD_BACK}\n"
