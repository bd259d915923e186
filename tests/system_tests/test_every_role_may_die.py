"""The table of deaths: each role of a real job is killed, and stopped, in turn; the job goes on as docs/jobs.md says.

Parameter servers and workers of a synchronous strategy take the learner with them; all others come back alone.
"""

import os
import signal
import socket
from pathlib import Path

import pytest
import reverb

from tests.support.commands import counters, write_config
from tests.support.launched_jobs import QUICK_HEALTH, Job, job
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.replay.reverb.server import TABLE
from tfdqn.storage.checkpoints import CheckpointManager

ENDLESS = ("stop.env_steps=1_000_000_000", "evaluation.interval_env_steps=20_000", "evaluation.episodes=2")
OFTEN = "checkpoint.interval_seconds=2"
DEATHS = [signal.SIGKILL, signal.SIGSTOP]

ALONE = [
    ProcessId(Role.ACTOR, 1),
    ProcessId(Role.EVALUATOR),
    ProcessId(Role.REPLAY_SERVER, 1),
    ProcessId(Role.WORKER, 0),
]


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("death", DEATHS, ids=["killed", "stopped"])
def test_a_process_of_an_asynchronous_job_that_dies_comes_back_and_the_rest_goes_on(
    tmp_path: Path, death: signal.Signals
) -> None:
    write_config(tmp_path, "learner.strategy=parameter_server", *ENDLESS, *QUICK_HEALTH, OFTEN)
    with job(tmp_path, "tiny.toml", "--actors", "2", "--workers", "2", "--replay-servers", "2") as running:
        running.until_learning()
        for process_id in ALONE:
            learner = running.pid(LEARNER)
            saved = running.until_saved()
            dead = running.send(process_id, death)
            running.until_replaced(process_id, dead)
            running.until(lambda process_id=process_id: running.lives(process_id), f"{process_id} at the learner")
            running.record_progress()
            assert running.pid(LEARNER) == learner, f"the learner did not outlive {process_id}"
            assert_no_counter_goes_back(running, saved)
        assert "restored" in running.log(ProcessId(Role.REPLAY_SERVER, 1))
        running.stop()


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("death", DEATHS, ids=["killed", "stopped"])
@pytest.mark.parametrize(
    ("strategy", "process_id"),
    [("parameter_server", ProcessId(Role.PARAMETER_SERVER)), ("multi_worker", ProcessId(Role.WORKER))],
    ids=["parameter server", "multi_worker worker"],
)
def test_whom_the_learner_cannot_do_without_takes_it_along_and_both_resume_from_the_manifest(
    tmp_path: Path, strategy: str, process_id: ProcessId, death: signal.Signals
) -> None:
    write_config(tmp_path, f"learner.strategy={strategy}", *ENDLESS, *QUICK_HEALTH, OFTEN)
    with job(tmp_path, "tiny.toml", "--workers", "2") as running:
        running.until_learning()
        saved = running.until_saved()
        learner, actor = running.pid(LEARNER), running.pid(ProcessId(Role.ACTOR))
        with running.supervisor_held():  # it would kill a stopped process, which the learner must see by itself
            dead = running.send(process_id, death)
            # Ten seconds from a death to the learner's end, and the machine may be busy.
            running.until(lambda: learner not in running.process.relatives(), "the learner's end", 60)
        running.until_replaced(process_id, dead)
        running.until_replaced(LEARNER, learner)
        running.until_learning(beyond=saved.train_steps)
        assert "resumed at" in running.log(LEARNER)
        assert running.pid(ProcessId(Role.ACTOR)) == actor
        assert_no_counter_goes_back(running, saved)
        running.stop()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("death", DEATHS, ids=["killed", "stopped"])
def test_a_learner_that_dies_resumes_while_the_actors_stay(tmp_path: Path, death: signal.Signals) -> None:
    write_config(tmp_path, *ENDLESS, *QUICK_HEALTH, OFTEN)
    with job(tmp_path, "tiny.toml", "--actors", "2") as running:
        running.until_learning()
        saved = running.until_saved()
        others = [
            ProcessId(Role.ACTOR, 0),
            ProcessId(Role.ACTOR, 1),
            ProcessId(Role.EVALUATOR),
            ProcessId(Role.REPLAY_SERVER),
        ]
        before = [running.pid(process_id) for process_id in others]
        dead = running.send(LEARNER, death)
        running.until_replaced(LEARNER, dead)
        running.until_learning(beyond=saved.train_steps)
        running.record_progress()
        assert [running.pid(process_id) for process_id in others] == before
        assert_no_counter_goes_back(running, saved)
        running.stop()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("death", DEATHS, ids=["killed", "stopped"])
def test_priorities_outlive_the_learner_that_gives_them_and_the_next_one_goes_on(
    tmp_path: Path, death: signal.Signals
) -> None:
    by_priorities = ("priorities.exponent=0.6", "replay.block_size=1")
    write_config(tmp_path, *ENDLESS, *QUICK_HEALTH, OFTEN, *by_priorities)
    with job(tmp_path, "tiny.toml", "--actors", "2", "--replay-servers", "2") as running:
        running.until_learning()
        until_an_update_changes_priorities(running)
        saved, largest = running.until_saved(), largest_priority(running)
        dead = running.send(LEARNER, death)
        running.until_replaced(LEARNER, dead)
        assert len(set(priorities(running).values())) > 10, "what the servers knew is gone"
        running.until_learning(beyond=saved.train_steps)
        until_an_update_changes_priorities(running)
        running.until_saved()
        assert largest_priority(running) >= largest > 0
        assert_no_counter_goes_back(running, saved)
        running.stop()


def priorities(running: Job) -> dict[tuple[int, int], float]:
    """Of what is sampled of either replay server now: by server and key, p^alpha."""
    return {
        (server, each.info.key): each.info.priority
        for server, address in enumerate(running.topology.replay_server)
        for each in reverb.Client(address).sample(TABLE, 500, emit_timesteps=False)
    }


def until_an_update_changes_priorities(running: Job) -> None:
    seen = priorities(running)

    def have_changed() -> bool:
        before, now = seen.copy(), priorities(running)
        seen.update(now)
        return any(before[key] != now[key] for key in before.keys() & now.keys())

    running.until(have_changed, "other priorities")


def largest_priority(running: Job) -> float:
    """As the newest checkpoint has it."""
    saved = CheckpointManager(running.run.checkpoints).latest(names=("replay",))
    assert saved is not None
    return float(saved.arrays("replay")["largest_priority"])


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_actor_that_hangs_while_its_heartbeat_goes_on_is_started_again(tmp_path: Path) -> None:
    keys = (
        "task.id=tests.support.toy_environments:Stalls-v0",
        f"task.kwargs={{at = 400, once = {str(tmp_path / 'has hung')!r}}}",
        "task.max_episode_steps=100",
        "health.stuck_after_seconds=20",
    )
    write_config(tmp_path, *keys, *ENDLESS, *QUICK_HEALTH, OFTEN)
    with job(tmp_path, "tiny.toml", "--no-evaluator") as running:
        actor = ProcessId(Role.ACTOR)
        hangs = running.pid(actor)
        running.until_replaced(actor, hangs)
        running.record_progress()
        assert "actor 0 has made no progress for" in running.log(actor)
        assert "it is started again" in running.process.out
        running.stop()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_after_a_power_cut_the_next_launch_resumes(tmp_path: Path) -> None:
    write_config(tmp_path, "learner.strategy=parameter_server", *ENDLESS, *QUICK_HEALTH, OFTEN)
    arguments = ("tiny.toml", "--actors", "2", "--workers", "1", "--replay-servers", "2")
    with job(tmp_path, *arguments) as running:
        running.until_learning()
        running.until_saved()
        for pid in running.process.relatives():
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
        assert running.process.ended() == -signal.SIGKILL
    saved = counters(tmp_path / "run")
    with job(tmp_path, *arguments) as running:
        running.until_learning(beyond=saved.train_steps)
        assert (seen := running.inspection()) is not None
        assert (seen.pid, seen.host) == (running.pid(LEARNER), socket.gethostname())
        assert f"resumed at {saved.env_steps:,} environment steps and {saved.train_steps:,} updates" in running.log(
            LEARNER
        )
        assert_no_counter_goes_back(running, saved)
        running.stop()
    assert counters(tmp_path / "run").train_steps > saved.train_steps


def assert_no_counter_goes_back(running: Job, saved: object) -> None:
    """Behind what the last checkpoint holds."""
    seen = running.inspection()
    assert seen is not None
    assert (seen.env_steps, seen.train_steps, seen.episodes) >= (0, 0, 0)
    for name in ("env_steps", "train_steps", "episodes"):
        assert getattr(seen, name) >= getattr(saved, name), name
