"""The lines of the check's table: what a play's episodes, rewards and speed read like."""

import pytest

from tests.tasks.checking.test_suggestions import VECTOR, a_play
from tfdqn.config import Task
from tfdqn.replay.codec import TransitionCodec
from tfdqn.task_spec import ActionSpec, ArraySpec, TaskSpec, discrete
from tfdqn.tasks.checking.findings import (
    longest_step_findings,
    play_findings,
    shape_findings,
    speed_line,
    transition_bytes,
)
from tfdqn.tasks.checking.random_play import Play

BRANCHES = ActionSpec(low=(0, 0), high=(1, 2), counts=(2, 3), shape=(2,), form="branches")


def lines(play: Play, limit: int | None = None, info: frozenset[str] = frozenset()) -> dict[str, str]:
    spec = TaskSpec(id="x", observation={"x": VECTOR}, actions=discrete(2), max_episode_steps=limit)
    play = play._replace(spec=spec)
    return {
        each.about: each.found for each in play_findings(play._replace(lengths=(), returns=(), env_steps=0), play, info)
    }


@pytest.mark.parametrize(
    ("lengths", "limit", "expected"),
    [
        ((8, 90, 22), None, "3 ended, after 8 to 90 steps, 40.0 on average"),
        ((8, 90, 200, 200), 200, "4 ended, after 8 to 200 steps, 124.5 on average; 2 at the limit"),
        ((8, 90), 200, "2 ended, after 8 to 90 steps, 49.0 on average"),
        ((11,) * 249, None, "249 ended, each after 11 steps"),
        ((11, 11), 200, "2 ended, each after 11 steps"),
        ((1, 1), None, "2 ended, each after 1 step"),
        ((200, 200), 200, "2 ended, each after 200 steps, the limit"),
        ((1_400,), None, "1 ended, after 1,400 steps"),
        ((), 27_000, "none ended within 100 steps; each is cut off at 27,000 steps"),
        ((), None, "none ended within 100 steps; the task has no limit of steps"),
    ],
)
def test_episodes_are_counted_with_their_lengths(lengths: tuple[int, ...], limit: int | None, expected: str) -> None:
    found = lines(a_play(VECTOR, lengths=lengths, returns=(1.0,) * len(lengths)), limit)
    assert found["episodes"] == expected and ("return at random" in found) == bool(lengths)


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ((-200.0,), "-200.00"),
        ((-200.0, -200.0), "always -200.00"),
        ((1.0, 3.0), "2.00 on average, with a standard deviation of 1.00"),
    ],
)
def test_returns_are_one_number_or_a_mean(returns: tuple[float, ...], expected: str) -> None:
    found = lines(a_play(VECTOR, lengths=(5,) * len(returns), returns=returns))
    assert found["return at random"] == expected


def test_rewards_values_and_keys_of_info_are_read_at_once() -> None:
    found = lines(a_play(VECTOR, rewards=(-1.0, 20.0)), info=frozenset({"prob", "action_mask"}))
    assert found["rewards"] == "from -1 to 20" and found["keys of info"] == "action_mask, prob"
    assert found["values"] == "finite, and of the spaces' shapes, in all 100 steps"
    found = lines(a_play(VECTOR, rewards=(1.0, 1.0)))
    assert found["rewards"] == "always 1" and found["keys of info"] == "none"


def test_a_play_is_shown_with_its_resets_its_speed_and_how_it_was_stepped() -> None:
    play = a_play(VECTOR, seconds=0.5)
    assert speed_line(Task(num_envs=1), play, 100) == "100 steps; 200 steps a second"
    assert speed_line(Task(num_envs=1), play._replace(env_steps=99), 100) == "99 steps and 1 reset; 198 steps a second"
    many = play._replace(env_steps=1_150, steps=600, seconds=20.0)
    assert speed_line(Task(num_envs=2), many, 1_000) == (
        "1,150 steps and 50 resets (ended after 20 s); 58 steps a second, one environment after another"
    )
    assert speed_line(Task(num_envs=2, vectorization="async"), many, 600).endswith(", each environment in a process")
    assert speed_line(Task(num_envs=2), many._replace(is_own_vector_version=True), 600).endswith(
        "58 steps a second, by the task's own vectorised version"
    )


@pytest.mark.parametrize(
    ("observation", "shown"),
    [
        ({"observation": ArraySpec(shape=(4,), dtype="float32")}, "float32[4]"),
        ({"observation": ArraySpec(shape=(), dtype="int32", categories=500)}, "one of 500 categories"),
        ({"observation": ArraySpec(shape=(), dtype="int32", categories=1)}, "one of 1 category"),
        ({"x": ArraySpec(shape=(2,), dtype="int32", categories=1_000)}, "x: int32[2], each one of 1,000 categories"),
        (
            {"x": ArraySpec(shape=(3, 2), dtype="uint8"), "y": ArraySpec(shape=(), dtype="int32", categories=2)},
            "x: uint8[3, 2]; y: one of 2 categories",
        ),
    ],
)
def test_observations_are_shown_by_their_parts(observation: dict[str, ArraySpec], shown: str) -> None:
    found = shape_findings(TaskSpec(id="x", observation=observation, actions=discrete(2)))
    assert found[0].found == shown


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((4,), "44 bytes in replay: 44 MB for a million"), ((124,), "1,004 bytes in replay: 1 GB for a million")],
)
def test_a_million_transitions_are_shown_in_a_unit_that_suits_them(shape: tuple[int, ...], shown: str) -> None:
    observation = {"observation": ArraySpec(shape=shape, dtype="float32")}
    assert shape_findings(TaskSpec(id="x", observation=observation, actions=discrete(2)))[2].found == shown


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("actions", [discrete(3), BRANCHES], ids=["one number", "branches"])
def test_a_transitions_bytes_are_those_of_the_replays_rows(masks: bool, actions: ActionSpec) -> None:
    spec = TaskSpec(
        id="x",
        observation={
            "a": ArraySpec(shape=(3, 5), dtype="uint8"),
            "b": ArraySpec(shape=(), dtype="int32"),
            "c": ArraySpec(shape=(7,), dtype="float32"),
        },
        actions=actions,
        action_masks=masks,
    )
    assert transition_bytes(spec) == TransitionCodec(spec).row_bytes


def test_a_step_that_held_up_a_play_is_named() -> None:
    (found,) = longest_step_findings("1 environment", a_play(VECTOR, seconds=41.0, longest_seconds=40.0))
    line = "1 environment: one of 100 steps took 40 s of 41 s, so the speed says little"
    assert (found.about, found.verdict, found.found) == ("longest step", "note", line)
    assert longest_step_findings("1 environment", a_play(VECTOR, seconds=41.0, longest_seconds=4.0)) == []
    assert longest_step_findings("1 environment", a_play(VECTOR, seconds=0.5, longest_seconds=0.4)) == []
