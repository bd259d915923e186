"""Run directories: one configuration each, and the task as it was when the run began."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tfdqn.config import DQN, Checkpoint, Config, Evaluation, Learner, Logging, Replay, Stop, Task
from tfdqn.config.toml import dump
from tfdqn.errors import ConfigError, RunDirError
from tfdqn.storage.locks import release_all
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, why_failed, write_end
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

CART_POLE = TaskSpec(
    id="CartPole-v1", observation={"observation": ArraySpec(shape=(4,), dtype="float32")}, actions=discrete(2)
)


def contents(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}


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
        "agent.n_step: 1 in the run, 3 now; choose another run directory (--run-dir, run_dir in Python), "
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


@pytest.mark.parametrize("claimed", [RunDir.claim, RunDir.supervise, RunDir.claim_alone])
def test_changes_come_to_stay_with_a_checkpoint_and_go_with_a_start_that_saved_none(
    tmp_path: Path, claimed: Any
) -> None:
    now, path = Config(stop=Stop(env_steps=600_000)), tmp_path / "run"
    with RunDir(path).claim(Config()):
        learn_something(RunDir(path))
    run = RunDir(path)
    with claimed(run, now):
        assert run.config() == RunDir(path).config() == now  # as its other processes read it
    assert run.config() == RunDir(path).config() == Config()
    with pytest.raises(ZeroDivisionError), claimed(RunDir(path), now):
        raise ZeroDivisionError
    assert RunDir(path).config() == Config()
    with claimed(RunDir(path), now):
        release_all()  # it ends without the end of the block
        assert RunDir(path).config() == Config()
    with claimed(RunDir(path), now):
        (path / "checkpoints" / "000002").mkdir()
        shutil.rmtree(path / "checkpoints" / "000001")
    assert RunDir(path).config() == now


@pytest.mark.parametrize("left", ["checkpoint", "best", "curves"])
def test_what_a_return_means_while_learning_may_not_change(tmp_path: Path, left: str) -> None:
    """It decides which policy is kept as the best. How often and on how many episodes it is measured may change."""
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        learn_something(run, left)
    with (
        pytest.raises(RunDirError, match=r"evaluation\.max_episode_steps"),
        run.claim(Config(evaluation=Evaluation(max_episode_steps=3))),
    ):
        pass
    changed = Config(evaluation=Evaluation(episodes=3, confirm_episodes=0, interval_env_steps=5))
    with run.claim(changed):
        assert run.config() == changed


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


@pytest.mark.parametrize(("now", "learned", "kept"), [(2, False, False), (1, False, True), (1, True, True)])
def test_another_configuration_begins_other_runs_in_other_systems(
    tmp_path: Path, now: int, learned: bool, kept: bool
) -> None:
    """MLflow's has the params of the configuration that it was begun with."""
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        run.tracking.mkdir()
        (run.tracking / "mlflow.json").touch()
        (run.tracking / "mlflow.log").touch()
        if learned:
            learn_something(run)
    stop = Stop(env_steps=600_000) if learned else Stop()
    with run.claim(Config(seed=now, stop=stop)):
        assert (run.tracking / "mlflow.json").exists() == kept and (run.tracking / "mlflow.log").exists()


@pytest.mark.parametrize("left", ["checkpoint", "best", "curves"])
def test_a_run_that_has_learned_keeps_its_task(tmp_path: Path, left: str) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        run.write_task_spec(CART_POLE)
        learn_something(run, left)
    with run.claim(Config()):
        assert run.task_spec() == CART_POLE


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
    with pytest.raises(RunDirError, match=r"holds other files, such as letter\.txt, and no run"):
        RunDir(tmp_path).refuse_early(Config())


def test_only_a_process_that_trains_the_run_forgets_why_it_failed(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        learn_something(run)
    write_end(run.end_file, RunEnd(Outcome.FAILED, False, "the pole is broken"))
    for claim in (run.claim, run.supervise):
        with pytest.raises(RunDirError, match="belongs to another configuration"), claim(Config(seed=2)):
            pass
        assert why_failed(run.end_file) == "the pole is broken"
    with run.claim(Config()):
        assert why_failed(run.end_file) == ""


@pytest.mark.parametrize("read", [RunDir.config, RunDir.task_spec], ids=["config", "task_spec"])
def test_reading_what_is_no_run_says_so(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(RunDirError, match=r"is not a run directory: no config\.toml in it"):
        read(RunDir(tmp_path))
    with pytest.raises(RunDirError, match="doesn't exist"):
        read(RunDir(tmp_path / "nowhere"))


@pytest.mark.parametrize("run", ["seed-2", "trials/002"])
def test_a_folder_of_runs_is_named_with_one_of_them(tmp_path: Path, run: str) -> None:
    for path in (tmp_path / run, (tmp_path / run).with_name("x-10")):
        each = RunDir(path)
        with each.claim(Config()):
            each.write_task_spec(CART_POLE)
    with pytest.raises(RunDirError, match=rf"no config\.toml in it; it holds runs, such as \S+/{run}$"):
        RunDir(tmp_path).config()
    with pytest.raises(RunDirError, match=rf"is missing\); it holds runs, such as \S+/{run}: choose an empty "):
        RunDir(tmp_path).refuse_early(Config())


def test_a_folder_of_seeds_of_which_none_has_begun_is_called_one(tmp_path: Path) -> None:
    RunDir(tmp_path / "seeds" / "seed-3").process_logs.mkdir(parents=True)
    with pytest.raises(RunDirError, match=r"/seeds is a folder of seeds, and none of them has begun$"):
        RunDir(tmp_path / "seeds").config()


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
            RunDirError, match=r": actions\.high is \(2,\), not \(1,\); .*; undo that, or begin another run"
        ):
            run.write_task_spec(replace(told, actions=discrete(3)))
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


@pytest.mark.parametrize("damage", [b"", b"{", b'{"id": 3}', b"\xff", b'{"id": "\xff"}'])
def test_a_damaged_task_file_is_named(tmp_path: Path, damage: bytes) -> None:
    run = RunDir(tmp_path / "run")
    with run.claim(Config()):
        run.task_file.write_bytes(damage)
        with pytest.raises(RunDirError, match=r"task\.json is damaged"):
            run.task_spec()


def test_keys_that_nothing_reads_are_refused_in_a_new_run_and_a_warning_where_something_was_learned(
    tmp_path: Path,
) -> None:
    run, said = RunDir(tmp_path / "run"), list[str]()
    run.refuse_unused({}, said.append)
    with pytest.raises(ConfigError, match=r"^a: agent needs b$"):
        run.refuse_unused({"agent.a": "a: agent needs b"}, said.append)
    with pytest.raises(ConfigError, match=r"^a: agent needs b\nc: d$"):
        run.refuse_unused({"agent.a": "a: agent needs b", "agent.c": "c: d"}, said.append)
    run.best.mkdir(parents=True)
    run.refuse_unused({"agent.a": "a: agent needs b"}, said.append)
    assert said == ["warning: a: agent needs b; it is left out"]


def test_a_run_that_was_saved_with_a_key_that_nothing_reads_goes_on_without_it(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.best.mkdir(parents=True)
    run.config_file.write_text(dump(Config(agent=DQN(huber_delta=2.0))))
    assert run.config() == Config()
    with run.claim(Config()):
        assert "huber_delta = 1.0" in run.config_file.read_text()


@pytest.mark.parametrize("path", [None, 3, Config(), RunDir("run")])
def test_a_run_s_path_of_another_type_is_refused_in_one_line(path: Any) -> None:
    with pytest.raises(
        RunDirError, match=r"^the path of a run directory is needed, as text or a pathlib\.Path; the argument"
    ):
        RunDir(path)
