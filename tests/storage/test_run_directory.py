"""Run directories: one configuration each, one process at a time, nothing of the user's overwritten."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from tfdqn.config import DQN, Checkpoint, Config, Evaluation, Learner, Logging, Replay, Stop, Task
from tfdqn.config.toml import dump
from tfdqn.errors import ConfigError, RunDirError
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import ArraySpec, TaskSpec

CART_POLE = TaskSpec(
    id="CartPole-v1",
    observation={"observation": ArraySpec(shape=(4,), dtype="float32")},
    num_actions=(2,),
    action_start=(0,),
)
# Claims argv[1], says so, and stays: alone, or with a forked child that outlives it.
HOLDER = """
import os, sys, time
from tfdqn.config import Config
from tfdqn.storage.run_directory import RunDir
with RunDir(sys.argv[1]).claim(Config()):
    child = os.fork() if sys.argv[2] == "forks" else 0
    if not child:
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


def contents(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}


@contextmanager
def held_by_another_process(path: Path, how: str = "alone") -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path, how], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def learn_something(run: RunDir, left: str = "checkpoint") -> None:
    """Leaves one of the things that make a directory its configuration's."""
    if left == "checkpoint":
        (run.checkpoints / "000001").mkdir(parents=True)
    elif left == "best":
        run.best.mkdir()
    else:
        run.metrics_file.write_text("{}\n")


def test_the_first_claim_writes_the_configuration(tmp_path: Path) -> None:
    run, config = RunDir(tmp_path / "runs" / "one"), Config(seed=7)
    with run.claim(config):
        assert run.config() == config
    assert run.config_file.read_text() == dump(config)


def test_the_same_configuration_claims_again(tmp_path: Path) -> None:
    config = Config(task=Task(kwargs={"size": (3, 4)}))
    for _ in range(2):
        with RunDir(tmp_path / "run").claim(config):
            pass


def test_another_configuration_is_refused_with_its_differences_and_changes_nothing(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        learn_something(run)
    before = contents(run.path)
    with pytest.raises(RunDirError) as caught, run.claim(Config(seed=2, agent=DQN(n_step=3))):
        pass
    assert str(caught.value) == (
        f"{run.path} belongs to another configuration: seed: 1 in the run, 2 now; "
        "agent.n_step: 1 in the run, 3 now; choose another --run-dir, "
        "or give the run's own values to resume it"
    )
    assert contents(run.path) == before | {"lock": contents(run.path)["lock"]}


@pytest.mark.parametrize(
    "now",
    [
        Config(stop=Stop(env_steps=600_000)),
        Config(checkpoint=Checkpoint(keep=5)),
        Config(logging=Logging(tensorboard=False)),
        Config(evaluation=Evaluation(final_episodes=10)),
        Config(replay=Replay(shards=2)),
        Config(learner=Learner(min_gpus=2)),
    ],
    ids=["stop", "checkpoint", "logging", "final_episodes", "shards", "GPUs"],
)
def test_what_is_not_learned_may_change_and_is_kept(tmp_path: Path, now: Config) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        learn_something(run)
    with run.claim(now):
        assert run.config() == now


@pytest.mark.parametrize("left", ["checkpoint", "best", "curves"])
def test_how_it_is_evaluated_while_learning_may_not_change(tmp_path: Path, left: str) -> None:
    """It decides which policy is kept as the best."""
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        learn_something(run, left)
    with (
        pytest.raises(RunDirError, match=r"evaluation\.episodes"),
        run.claim(Config(evaluation=Evaluation(episodes=3))),
    ):
        pass


@pytest.mark.parametrize("config_file", [None, "neither = TOML ="], ids=["whole", "damaged"])
def test_a_start_that_failed_leaves_the_directory_to_the_corrected_configuration(
    tmp_path: Path, config_file: str | None
) -> None:
    run, corrected = RunDir(tmp_path / "run"), Config(seed=2)
    with pytest.raises(ZeroDivisionError), run.claim(Config(task=Task(id="CartPol-v1"))):
        run.write_task_spec(CART_POLE)
        (run.checkpoints / ".saving-000001").mkdir(parents=True)
        run.metrics_file.touch()
        raise ZeroDivisionError
    if config_file:
        run.config_file.write_text(config_file)
    with run.claim(corrected):
        assert run.config() == corrected
        assert not run.task_file.exists()


@pytest.mark.parametrize("left", ["checkpoint", "best", "curves"])
def test_a_run_that_has_learned_keeps_its_task(tmp_path: Path, left: str) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        run.write_task_spec(CART_POLE)
        learn_something(run, left)
    with run.claim(Config()):
        assert run.task_spec() == CART_POLE


def test_a_run_in_use_is_refused_with_the_process_that_uses_it(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with held_by_another_process(run.path) as (holder, _), pytest.raises(RunDirError) as caught:
        run.claim(Config()).__enter__()
    assert f"is in use by process {holder.pid}:" in str(caught.value)


def test_the_same_process_cannot_claim_twice(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        with pytest.raises(RunDirError, match="in use"), run.claim(Config()):
            pass
        # And the refusal has not given the first claim away.
        with pytest.raises(RunDirError, match="in use"), run.claim(Config()):
            pass


def test_who_claims_alone_is_told_of_a_jobs_supervisor_and_not_of_its_learner(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.supervise(Config()), held_by_another_process(run.path) as (learner, _):
        for refused in (run.claim_alone(Config()).__enter__, lambda: run.refuse_early(Config())):
            with pytest.raises(RunDirError, match=f"in use by process {os.getpid()}:"):
                refused()
    with held_by_another_process(run.path) as (learner, _):  # of a job on many hosts
        for refused in (run.claim_alone(Config()).__enter__, lambda: run.refuse_early(Config())):
            with pytest.raises(RunDirError, match=f"in use by process {learner.pid}:"):
                refused()


def test_a_job_is_not_begun_where_somebody_trains_alone(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with (
        run.claim_alone(Config()),
        pytest.raises(RunDirError, match=f"in use by process {os.getpid()}:"),
        run.supervise(Config()),
    ):
        pass


def test_what_is_refused_early_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.refuse_early(Config())
    assert not run.path.exists()
    with run.claim_alone(Config()):
        learn_something(run)
    run.refuse_early(Config(stop=Stop(env_steps=600_000)))
    with pytest.raises(RunDirError, match="belongs to another configuration: seed: 1 in the run, 2 now"):
        run.refuse_early(Config(seed=2))
    assert run.config() == Config()
    (tmp_path / "letter.txt").touch()
    with pytest.raises(RunDirError, match="is not a run directory"):
        RunDir(tmp_path).refuse_early(Config())


def test_a_machines_part_of_a_run_is_one_processs(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.machine("worker-0").claim():
        with (
            pytest.raises(RunDirError, match=f"worker-0 is in use by process {os.getpid()}:"),
            run.machine("worker-0").claim(),
        ):
            pass
        with run.machine("worker-1").claim(), run.claim(Config()):
            pass


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with held_by_another_process(run.path) as (holder, _):
        holder.kill()
        holder.wait()
        with run.claim(Config()):
            pass


def test_a_forked_child_that_outlives_its_killed_parent_holds_no_lock(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with held_by_another_process(run.path, "forks") as (holder, orphan):
        holder.kill()
        holder.wait()
        try:
            os.kill(orphan, 0)
            with run.claim(Config()):
                pass
        finally:
            os.kill(orphan, signal.SIGKILL)


def test_a_claim_ends_with_an_error_inside_it(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(ZeroDivisionError), run.claim(Config()):
        raise ZeroDivisionError
    with run.claim(Config()):
        pass


def test_a_directory_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunDirError, match=r"it has no config\.toml, but thesis\.tex"):
        RunDir(tmp_path).claim(Config()).__enter__()
    assert contents(tmp_path) == {"thesis.tex": b"precious"}


def test_a_file_in_the_place_of_the_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    with pytest.raises(RunDirError, match="is not a directory"), RunDir(tmp_path / "run").claim(Config()):
        pass
    assert contents(tmp_path) == {"run": b"precious"}


def test_a_place_below_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirError, match="can't be made"), RunDir(tmp_path / "file" / "run").claim(Config()):
        pass


@pytest.mark.parametrize("left", ["lock", ".config.toml.12-34-ab-56-0badcafe.partial"])
def test_a_run_that_was_killed_at_its_very_start_can_begin_again(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_text("see")
    with RunDir(tmp_path).claim(Config()):
        assert RunDir(tmp_path).config() == Config()


def test_a_bad_configuration_leaves_no_directory_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), RunDir(tmp_path / "run").claim(Config(agent=DQN(n_step=0))):
        pass
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("read", [RunDir.config, RunDir.task_spec], ids=["config", "task_spec"])
def test_reading_what_is_no_run_says_so(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(RunDirError, match=r"is not a run directory: no config\.toml in it"):
        read(RunDir(tmp_path))
    with pytest.raises(RunDirError, match="is not a run directory: no such directory"):
        read(RunDir(tmp_path / "nowhere"))


def test_the_task_spec_is_kept(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        with pytest.raises(RunDirError, match=r"has no task\.json"):
            run.task_spec()
        run.write_task_spec(CART_POLE)
        run.write_task_spec(CART_POLE)
        part = replace(CART_POLE.observation["observation"], bounds=((-1.0, 1.0),))
        told = replace(CART_POLE, observation={"observation": part}, action_names=(("left", "right"),))
        run.write_task_spec(told)  # only people are told otherwise
        with pytest.raises(
            RunDirError, match=r"the task has changed: num_actions: \(2,\) in the run, \(3,\) now"
        ):
            run.write_task_spec(replace(told, num_actions=(3,)))
    assert run.task_spec() == CART_POLE


def test_a_run_whose_images_were_not_scaled_goes_on_so(tmp_path: Path) -> None:
    def images(*high: float) -> TaskSpec:
        part = ArraySpec(shape=(4, 4, 1), dtype="float32", high=high)
        return replace(CART_POLE, observation={"observation": part})

    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        assert run.write_task_spec(images()) == images()
        assert run.write_task_spec(images(255.0)) == images()
        run.task_file.write_bytes(images(255.0).to_json())
        for other in (images(), images(10.0)):
            with pytest.raises(RunDirError, match=r"the task has changed: observation"):
                run.write_task_spec(other)


def test_a_task_that_looks_otherwise_than_when_the_run_began_is_refused(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        run.write_task_spec(CART_POLE)
        three = TaskSpec(
            id=CART_POLE.id, observation=CART_POLE.observation, num_actions=(3,), action_start=(0,)
        )
        with pytest.raises(RunDirError, match=r"num_actions: \(2,\) in the run, \(3,\) now"):
            run.write_task_spec(three)
    assert run.task_spec() == CART_POLE


@pytest.mark.parametrize("damage", [b"", b"{", b'{"id": 3}', b"\xff"])
def test_a_damaged_task_file_is_named(tmp_path: Path, damage: bytes) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        run.task_file.write_bytes(damage)
        with pytest.raises(RunDirError, match=r"task\.json is damaged"):
            run.task_spec()
