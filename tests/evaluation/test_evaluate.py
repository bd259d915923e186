"""An evaluation on a changed task is refused in one readable line where the policy can't read it; a video that fails
takes no figures with it.
"""

import errno
import os
from pathlib import Path
from typing import Any, Literal

import imageio
import msgspec
import numpy as np
import pytest
from msgspec import structs

from tests.support.actions import branches
from tests.support.disks import fill, small_disk
from tests.support.untrained_runs import untrained_run
from tfdqn.errors import ConfigError, EnvironmentFailedError, RunDirError, TaskError, VideoError
from tfdqn.evaluation import evaluate as evaluate_module
from tfdqn.evaluation import video
from tfdqn.evaluation.evaluate import _check_same_shape, evaluate
from tfdqn.storage.owners import this_process
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

TRAINED = TaskSpec(
    id="Lake-v1",
    observation={
        "place": ArraySpec(shape=(), dtype="int32", categories=16),
        "speed": ArraySpec(shape=(2,), dtype="float32"),
    },
    actions=discrete(4),
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"place": ArraySpec(shape=(), dtype="int32", categories=64)},
            'observation "place" is int32[] of 0 to 63, not int32[] of 0 to 15',
        ),
        ({"speed": ArraySpec(shape=(3,), dtype="float32")}, 'observation "speed" is float32[3], not float32[2]'),
        ({"height": ArraySpec(shape=(), dtype="float32")}, 'observation "height" is float32[], not absent'),
    ],
)
def test_another_observation_is_named_alone(change: dict[str, ArraySpec], said: str) -> None:
    now = msgspec.structs.replace(TRAINED, observation=TRAINED.observation | change)
    with pytest.raises(TaskError) as caught:
        _check_same_shape(TRAINED, now)
    assert str(caught.value) == f"Lake-v1 isn't what the policy was trained on: {said}"


def test_other_actions_are_named() -> None:
    now = msgspec.structs.replace(TRAINED, actions=discrete(6), action_masks=True)
    with pytest.raises(TaskError) as caught:
        _check_same_shape(TRAINED, now)
    assert str(caught.value) == (
        "Lake-v1 isn't what the policy was trained on: the number of actions is 6, not 4; "
        "task.action_masks is true, not false"
    )


def test_a_product_of_other_dimensions_is_another_though_as_large() -> None:
    """Its numbers mean other actions."""
    three_by_five, five_by_three = (
        msgspec.structs.replace(TRAINED, actions=msgspec.structs.replace(branches(*counts), form="product"))
        for counts in ((3, 5), (5, 3))
    )
    in_branches = msgspec.structs.replace(TRAINED, actions=branches(3, 5))
    assert three_by_five.num_actions == five_by_three.num_actions == (15,)
    _check_same_shape(three_by_five, three_by_five)
    start = "^Lake-v1 isn't what the policy was trained on: "
    with pytest.raises(TaskError, match=start + "the number of actions is 5 × 3, not 3 × 5$"):
        _check_same_shape(three_by_five, five_by_three)
    with pytest.raises(TaskError, match=start + "task.action_form is branches, not product$"):
        _check_same_shape(three_by_five, in_branches)


def test_what_a_policy_does_not_see_may_change() -> None:
    _check_same_shape(TRAINED, msgspec.structs.replace(TRAINED, max_episode_steps=7, actions=discrete(4, 1)))


def test_the_run_s_action_names_are_no_matter_of_another_task(tmp_path: Path) -> None:
    found = untrained_run(tmp_path / "run", 'task.action_names=["left", "right"]')
    with pytest.raises(TaskError, match=r"^Acrobot-v1 isn't what the policy was trained on: .*actions is 3, not 2"):
        evaluate(found.path, episodes=1, overrides=["task.id=Acrobot-v1"])
    with pytest.raises(TaskError, match=r"CartPole-v1: task\.action_names must have one name for each action"):
        evaluate(found.path, episodes=1, overrides=['task.action_names=["left"]'])
    with pytest.raises(ConfigError, match=r"^seed = -1: a whole number of at least 0 is needed$"):
        evaluate(found.path, episodes=1, seed=-1)


@pytest.mark.parametrize("video", [True, "avi"])
def test_a_video_has_one_of_two_formats(video: Any, tmp_path: Path) -> None:
    found = untrained_run(tmp_path / "run")
    with pytest.raises(ConfigError, match=rf'^video = {video!r}: allowed are "mp4" and "gif"; None: no video$'):
        evaluate(found.path, episodes=1, video=video)


def test_numbers_of_numpy_are_taken_as_pythons(run: RunDir) -> None:
    report = evaluate(run.path, episodes=np.int32(2), seed=np.int64(3))  # type: ignore[arg-type]
    assert report == evaluate(run.path, episodes=2, seed=3)
    assert (type(report.seed), report.episodes) == (int, 2)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Of CartPole, with a policy that has learned nothing."""
    return untrained_run(tmp_path / "run")


def draws(path: Path, how: str) -> RunDir:
    """A run of a task that draws oddly."""
    return untrained_run(path, "task.id=tests.support.toy_environments:Draws-v0", f"task.kwargs={{how='{how}'}}")


def test_a_video_of_floats_in_lists_and_of_odd_sizes_is_a_video(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    path = draws(tmp_path / "run", "floats").path
    recorded = evaluate(path, episodes=2, video="mp4", on_begin=lambda: told.append("begun")).video
    assert told == ["begun"]
    assert recorded is not None
    # Three steps; 5 × 3 pixels are enlarged 54 times, to 160 rows at least.
    assert imageio.v3.imread(recorded).shape == (3, 162, 270, 3)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("none", r"Draws-v0 could not be rendered: its render\(\) gave None"),
        ("raises", r"Draws-v0 could not be rendered: .*odd_environments\.py:\d+: RuntimeError: no display"),
    ],
)
def test_a_task_that_cannot_be_rendered_is_refused_before_any_episode(
    tmp_path: Path, how: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = draws(tmp_path / "run", how)
    monkeypatch.setattr("tfdqn.evaluation.evaluate.play_episodes", None)
    begun_by: list[str] = []
    with pytest.raises(TaskError, match=said):
        evaluate(found.path, episodes=2, video="mp4", on_begin=lambda: begun_by.append(""))
    assert not begun_by


def test_a_video_that_fails_takes_no_figures_with_it(tmp_path: Path) -> None:
    found = draws(tmp_path / "run", "grows")
    with pytest.raises(VideoError) as caught:
        evaluate(found.path, episodes=2, video="mp4")
    assert "can't be recorded: frame 1 is 6 × 3 pixels, and those before are 5 × 3 pixels" in str(caught.value)
    assert (caught.value.report.episodes, caught.value.report.mean_return) == (2, 3.0)
    assert not list(found.videos.iterdir())


def test_a_video_that_is_recorded_at_the_same_time_is_another(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def recorded() -> Path:
        return Path(str(evaluate(run.path, episodes=1, video="gif").video))

    play, others = video.play_episodes, list[Path]()

    def play_beside_another(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(video, "play_episodes", play)
        others.append(recorded())
        return play(*arguments, **options)

    monkeypatch.setattr(video, "play_episodes", play_beside_another)
    assert (recorded().name, others[0].name) == ("2.gif", "1.gif")
    assert sorted(each.name for each in run.videos.iterdir()) == ["1.gif", "2.gif"]


def test_a_number_that_another_process_has_taken_meanwhile_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.gif").touch()
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter(()))  # as before that was there
    (mine := tmp_path / ".mine.gif").write_text("mine")
    assert video._published(mine) == tmp_path / "2.gif"

    def fail(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)  # as where there are no hard links
    assert video._published(mine) == tmp_path / "3.gif"
    assert [(tmp_path / f"{number}.gif").read_text() for number in (1, 2, 3)] == ["", "mine", "mine"]


def test_what_a_killed_recording_has_left_is_removed_and_that_of_another_process_is_not(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(video, "_published", die)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            evaluate(run.path, episodes=1, video="gif")
    (left,) = run.videos.iterdir()
    ended = structs.replace(this_process(), started=1)
    left.rename(run.videos / left.name.replace(this_process().mark, ended.mark))
    for owner in (this_process(), structs.replace(ended, kernel="another")):
        (run.videos / left.name.replace(this_process().mark, owner.mark)).touch()
    evaluate(run.path, episodes=1, video="gif")
    kept = {left.name, left.name.replace(this_process().mark, structs.replace(ended, kernel="another").mark)}
    assert {each.name for each in run.videos.iterdir()} == {"1.gif", *kept}


def test_nobody_writes_on_a_video_that_has_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), video.written_video(tmp_path / "1.mp4") as writer:
        writer.append_data(np.zeros((160, 160, 3), np.uint8))
        raise RuntimeError
    assert writer.closed  # which waits for ffmpeg: it would make the file anew where that is removed before


def test_a_writer_that_fails_takes_no_figures_with_it(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("ffmpeg can't be found")

    monkeypatch.setattr(video.imageio, "get_writer", fail)
    with pytest.raises(VideoError) as caught:
        evaluate(run.path, episodes=2, video="mp4")
    assert str(caught.value) == "the video of CartPole-v1 failed: ValueError: ffmpeg can't be found"
    assert caught.value.report.episodes == 2


@pytest.mark.parametrize("limit", ["", "task.max_episode_steps=10000000"])
def test_episodes_that_never_end_are_cut(tmp_path: Path, limit: str) -> None:
    endless = ("task.id=tests.support.toy_environments:Counter-v0", "task.kwargs={ends_at=0}")
    found = untrained_run(tmp_path / "run", *endless, "evaluation.max_episode_steps=30", *([limit] if limit else []))
    assert evaluate(found.path, episodes=3).mean_length == 30
    assert evaluate(found.path, episodes=3, overrides=["task.max_episode_steps=40"]).mean_length == 40


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_a_video_on_a_full_disk_is_one_line_and_the_figures_are_there(
    run: RunDir, tmp_path: Path, suffix: Literal["mp4", "gif"], capfd: pytest.CaptureFixture[str]
) -> None:
    whole = evaluate(run.path, episodes=2, video=suffix)
    assert whole.video == str(run.videos / f"1.{suffix}")
    assert imageio.v3.imread(whole.video).shape[0] > 1
    (run.videos / f"1.{suffix}").unlink()
    run.videos.rmdir()
    with small_disk(tmp_path) as disk:
        run.videos.symlink_to(disk)
        fill(disk)
        with pytest.raises(VideoError) as caught:
            evaluate(run.path, episodes=2, video=suffix)
        assert [each.name for each in disk.iterdir()] == ["filler"]
    assert str(caught.value) == f"{run.videos}: the video couldn't be written: is the disk full?"
    assert caught.value.report == msgspec.structs.replace(whole, video=None)
    assert "No space" not in capfd.readouterr().err


def test_environments_that_fail_are_restarted_as_often_as_the_task_allows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fails = "task.id=tests.support.toy_environments:Fails-v0"
    found = untrained_run(tmp_path / "run", fails, "task.num_envs=1")
    once = [f'task.kwargs={{at=6,once="{tmp_path / "once"}"}}']
    assert evaluate(found.path, episodes=3, overrides=[*once, "task.restarts=1"]).mean_length == 4
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["tests.support.toy_environments"]
    assert "the environment is restarted (1 of task.restarts = 1)" in caplog.text
    (tmp_path / "once").unlink()
    with pytest.raises(EnvironmentFailedError, match="the simulator is gone"):
        evaluate(found.path, episodes=3, overrides=once)


def test_where_no_video_can_be_kept_nothing_is_played(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    run.videos.write_text("")
    monkeypatch.delattr(evaluate_module, "play_episodes")
    with pytest.raises(RunDirError, match=r"videos can't be created or written: .*videos is not a directory"):
        evaluate(run.path, video="mp4")
