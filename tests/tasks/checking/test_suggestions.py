"""Which keys are suggested for what was seen."""

from functools import partial

import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.config.toml import parse
from tfdqn.errors import ConfigError
from tfdqn.networks.factory import q_network
from tfdqn.system.processors import available_cores
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.tasks.checking.random_play import OwnTraits, Play
from tfdqn.tasks.checking.suggestions import Suggestion, may_be_faster_in_processes, suggestions

NOTHING = OwnTraits()


def a_play(array: ArraySpec, **changes) -> Play:
    spec = TaskSpec(id="x", observation={"observation": array}, actions=discrete(2))
    play = Play(
        spec=spec,
        is_own_vector_version=False,
        gives_state=False,
        first={"observation": np.zeros((1, *array.shape), array.dtype)},
        steps=100,
        env_steps=100,
        seconds=1.0,
        lengths=(5,),
        returns=(1.0,),
        rewards=(-1.0, 1.0),
        largest=1.0,
        digest="",
    )
    return play._replace(**changes)


def of(task: Task, play: Play, in_processes: Play | None = None) -> list[Suggestion]:
    return suggestions(task, play.spec, play, in_processes, NOTHING)


def settings(task: Task, play: Play, in_processes: Play | None = None, own: OwnTraits = NOTHING) -> list[str]:
    return [each.setting for each in suggestions(task, play.spec, play, in_processes, own)]


@pytest.mark.parametrize(
    ("array", "frame_stack", "expected"),
    [
        (ArraySpec(shape=(8,), dtype="float32"), 1, []),
        (ArraySpec(shape=(5, 5), dtype="float32"), 1, []),
        (ArraySpec(shape=(), dtype="int32", categories=16), 1, []),
        (ArraySpec(shape=(10, 10, 4), dtype="uint8"), 1, ["network.kind=small_cnn"]),
        (
            ArraySpec(shape=(84, 84), dtype="uint8"),
            1,
            ["network.kind=nature_cnn", "task.frame_stack=4", "replay.item=frames"],
        ),
        (
            ArraySpec(shape=(4, 96, 96, 3), dtype="uint8", frame_stack=4),
            4,
            ["network.kind=nature_cnn", "replay.item=frames"],
        ),
        (ArraySpec(shape=(84, 84, 12), dtype="uint8"), 1, ["network.kind=nature_cnn"]),  # a stack of RGB already
        (ArraySpec(shape=(3, 84, 84), dtype="uint8"), 1, []),
        (ArraySpec(shape=(4, 10, 10), dtype="float32"), 1, []),
    ],
)
def test_the_network_is_one_that_what_is_observed_suits(array, frame_stack, expected) -> None:
    assert settings(Task(frame_stack=frame_stack), a_play(array)) == expected


@pytest.mark.parametrize("kind", ["small_cnn", "nature_cnn"])
@pytest.mark.parametrize("side", [2, 3, 35, 36])
def test_a_network_is_suggested_where_training_takes_it(side: int, kind: str) -> None:
    play, setting = a_play(ArraySpec(shape=(side, side + 4, 2), dtype="uint8")), f"network.kind={kind}"
    network = partial(q_network, parse(b"", [setting]), play.spec, seed=1)
    if setting in settings(Task(), play):
        network().create_variables()
    elif kind == "nature_cnn" or side < 36:  # nature_cnn is suggested where both would do
        with pytest.raises(ConfigError, match="too small"):
            network()


VECTOR = ArraySpec(shape=(3,), dtype="float32")


def test_keys_that_the_task_has_already_are_not_suggested() -> None:
    play, own = a_play(VECTOR, rewards=(-100.0, 1.0)), OwnTraits(frozenset({"action_mask", "lives"}), most_lives=3)
    assert settings(Task(), play, own=own) == [
        *("task.action_masks=true", "task.end_on_life_loss=true", "task.reward_normalization=0.99")
    ]
    for key, value in (("reward_clip", 1.0), ("reward_sign", True), ("reward_normalization", 0.99)):
        have = Task(action_masks=True, end_on_life_loss=True, **{key: value})
        assert settings(have, play, own=own) == []
    board = ArraySpec(shape=(10, 10, 4), dtype="uint8")
    assert settings(Task(), a_play(board, rewards=(0.0, 50.0)))[1:] == ["task.reward_clip=1.0"]


def test_a_mask_that_is_observed_is_suggested_as_one() -> None:
    observation = {"x": VECTOR, "action_mask": ArraySpec(shape=(2,), dtype="uint8")}
    play = a_play(VECTOR, spec=TaskSpec(id="x", observation=observation, actions=discrete(2)))
    assert settings(Task(), play) == ["task.action_masks=true"]
    assert settings(Task(action_masks=True), play) == []


def test_large_numbers_are_to_be_normalised_where_they_are_no_images() -> None:
    assert settings(Task(), a_play(VECTOR, largest=50.0)) == ["network.normalize_observations=true"]
    board = ArraySpec(shape=(10, 10, 4), dtype="float32")
    assert settings(Task(), a_play(board, largest=50.0)) == ["network.kind=small_cnn"]


def test_an_endless_episode_asks_for_a_limit() -> None:
    assert settings(Task(), a_play(VECTOR, lengths=(), steps=10_000)) == ["task.max_episode_steps=1000"]
    assert settings(Task(), a_play(VECTOR, steps=10_000)) == []
    assert settings(Task(), a_play(VECTOR, lengths=(), steps=9_999)) == []


def test_a_game_that_ends_with_its_only_life_asks_for_no_end_of_its_own() -> None:
    for lives in 0, 1:  # Pong counts none
        assert settings(Task(), a_play(VECTOR), own=OwnTraits(frozenset({"lives"}), most_lives=lives)) == []


def test_masks_of_a_method_are_suggested_with_its_name_where_it_would_not_be_found() -> None:
    own = OwnTraits(mask_methods=("action_masks", "legal_mask"))
    assert settings(Task(), a_play(VECTOR), own=own) == ["task.action_masks=true"]
    own = OwnTraits(mask_methods=("valid_action_mask",))
    named = ["task.action_masks=true", "task.action_mask_source=method:valid_action_mask"]
    assert settings(Task(), a_play(VECTOR), own=own) == named
    assert settings(Task(), a_play(VECTOR), own=own._replace(info=frozenset({"action_mask"}))) == named[:1]


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((84, 84), "an image of 1 channel (grey) is one frame, which doesn't show what moves"),
        ((84, 84, 3), "an image of 3 channels (RGB) is one frame, which doesn't show what moves"),
    ],
)
def test_a_stack_is_suggested_with_what_is_taken_for_one_frame(shape: tuple[int, ...], why: str) -> None:
    found = {each.setting: each.reason for each in of(Task(), a_play(ArraySpec(shape=shape, dtype="uint8")))}
    assert found["task.frame_stack=4"] == why
    assert found["network.kind=nature_cnn"] == "images of 84 × 84 pixels; it needs 36 each way"


def test_processes_are_suggested_where_they_were_clearly_faster() -> None:
    slow, fast = a_play(VECTOR, seconds=1.0), a_play(VECTOR, seconds=0.4)
    assert settings(Task(num_envs=1), slow, a_play(VECTOR, seconds=0.7)) == []
    (found,) = of(Task(num_envs=1), slow, a_play(VECTOR, seconds=0.625))
    assert found.reason == "1.6 times as fast here: 160 steps a second, not 100"
    many = available_cores() + 1
    assert settings(Task(num_envs=many), slow, fast) == [
        "task.vectorization=async",
        f"task.num_envs={available_cores()}",
    ]
    assert settings(Task(num_envs=many), fast, slow) == []
    assert may_be_faster_in_processes(slow) and not may_be_faster_in_processes(slow._replace(seconds=0.01))
    assert not may_be_faster_in_processes(slow._replace(is_own_vector_version=True))
    assert not may_be_faster_in_processes(slow._replace(seconds=0.1, env_steps=10))  # as slow, but too short to tell


def test_no_speed_is_compared_of_a_play_that_one_step_held_up() -> None:
    held_up = a_play(VECTOR, seconds=41.0, env_steps=4_100, longest_seconds=40.0)
    assert not may_be_faster_in_processes(held_up)
    assert may_be_faster_in_processes(held_up._replace(longest_seconds=2.0))
    slow, fast = a_play(VECTOR, seconds=41.0), a_play(VECTOR, seconds=10.0)
    assert settings(Task(num_envs=1), slow, fast) == ["task.vectorization=async"]
    assert settings(Task(num_envs=1), slow, fast._replace(longest_seconds=9.0)) == []


def test_only_masks_are_suggested_of_what_could_not_be_played() -> None:
    spec = a_play(VECTOR).spec
    assert suggestions(Task(), spec, None, None, NOTHING) == []
    own = OwnTraits(frozenset({"action_mask"}), most_lives=3)
    (found,) = suggestions(Task(), spec, None, None, own)
    assert found == Suggestion("task.action_masks=true", 'info["action_mask"] says which actions are legal')
    assert suggestions(Task(action_masks=True), spec, None, None, own) == []
