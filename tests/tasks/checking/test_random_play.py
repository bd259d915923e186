"""Random play: legal actions alone, all of them alike, and what is kept of a play."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tests.support.odd_environments import Odd
from tfdqn.config import Task
from tfdqn.task_spec import ActionSpec, TaskSpec
from tfdqn.tasks.checking.random_play import OwnTraits, own_traits, play_at_random, random_actions


def a_spec(*num_actions: int) -> TaskSpec:
    low, high = (0,) * len(num_actions), tuple(count - 1 for count in num_actions)
    actions = ActionSpec(low=low, high=high, counts=num_actions, shape=(len(low),), form="branches")
    return TaskSpec(id="x", observation={}, actions=actions)


def test_every_legal_action_is_as_likely_as_any_other() -> None:
    legal = np.array([[True, False, True, True]] * 30_000)
    actions = random_actions(a_spec(4), legal, 30_000, np.random.default_rng(1))
    assert actions.dtype == np.int32 and actions.shape == (30_000,)
    # Each 10,000 times, of which the standard deviation is 82.
    np.testing.assert_allclose(np.bincount(actions, minlength=4), [10_000, 0, 10_000, 10_000], atol=400)


def test_branches_are_drawn_each_from_its_own_actions() -> None:
    actions = random_actions(a_spec(2, 3), None, 6_000, np.random.default_rng(1))
    assert actions.shape == (6_000, 2)
    np.testing.assert_allclose(np.bincount(actions[:, 0] * 3 + actions[:, 1]), np.full(6, 1_000), atol=150)
    legal = np.array([[[False, True, False], [True, False, True]]] * 100)
    drawn = random_actions(a_spec(2, 3), legal, 100, np.random.default_rng(1))
    assert set(map(tuple, drawn.tolist())) == {(1, 0), (1, 2)}


def test_a_play_counts_transitions_and_not_resets() -> None:
    task = Task(id="tests.support.toy_environments:Counter-v0", num_envs=2, vectorization="sync")
    told: list[int] = []
    play = play_at_random(task, 0, 12, 60.0, told.append)
    # Counter's episodes have three steps; the row after each only carries the reset: rows 4, 8 and 12.
    assert play.lengths == (3,) * 6 and play.steps == 12 and play.env_steps == 2 * 9
    assert told == list(range(1, 13))
    assert play_at_random(task, 0, 12, 60.0, told.append).digest == play.digest
    assert play_at_random(task, 0, 11, 60.0, told.append).digest != play.digest


@pytest.fixture
def odd() -> Any:
    """A task whose observations lack one of the parts that its space declares."""
    space = spaces.Dict({"a": spaces.Box(-2, 2, (2,)), "b": spaces.Dict({"c": spaces.Box(-2, 2, (2,))})})
    given = {"a": np.zeros(2), "b": None}
    gymnasium.register("tests/Lacking-v0", Odd, kwargs={"space": space, "observation": given, "info": {"lives": 3}})
    yield Task(id="tests/Lacking-v0")
    del gymnasium.registry["tests/Lacking-v0"]


def test_a_part_that_is_missing_hides_nothing_else_that_an_environment_tells(odd: Task) -> None:
    told: list[int] = []
    found = own_traits(odd, told.append)
    assert (found.info, found.most_lives) == ({"lives"}, 3)
    assert told == list(range(21))


def test_failures_of_the_environment_are_left_to_the_plays(odd: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "reset", lambda self, **_: 1 / 0)
    assert own_traits(odd) == OwnTraits()


def test_masks_are_found_also_if_an_illegal_action_raises(odd: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "step", lambda self, action: 1 / 0)
    monkeypatch.setattr(Odd, "action_masks", lambda self: [1] * int(self.action_space.n), raising=False)
    assert own_traits(odd) == OwnTraits(frozenset({"lives"}), 3, ("action_masks",))
