"""What `check` finds of tasks that are right, and of tasks that are wrong each in a way of its own."""

import logging
import time
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tests.support.odd_environments import Broken, Odd
from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.checking.check import TaskCheck, check
from tfdqn.tasks.checking.random_play import Play, play_at_random
from tfdqn.tasks.registry import resolve_spec

TWO = np.array([0.5, 1.5], np.float32)


class Careless(gymnasium.Env):
    """Begins and goes on by chance, whatever the seed; or always alike, each step taking `seconds`."""

    def __init__(self, how: str, seconds: float = 0.0) -> None:
        self.observation_space, self.action_space = spaces.Box(-9.0, 9.0, (1,)), spaces.Discrete(3)
        self._rng, self._seconds = np.random.default_rng(None if how == "by chance" else 1), seconds

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        return self._rng.normal(size=1).clip(-9, 9).astype(np.float32), {"lives": 3}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        time.sleep(self._seconds)
        return self.reset()[0], 100.0, bool(self._rng.random() < 0.05), False, {"lives": 3, "action_mask": [1, 0, 1]}


@pytest.fixture
def registered() -> Any:
    before = dict(gymnasium.registry)

    def register(make: Any, **kwargs: Any) -> str:
        gymnasium.register("tests/Checked-v0", make, kwargs=kwargs)
        return "tests/Checked-v0"

    yield register
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


def found_of(task_id: str, env_steps: int = 150, seconds: float = 20.0, **keys: Any) -> TaskCheck:
    return check(Task(id=task_id, **{"num_envs": 3, **keys}), lambda *where: None, env_steps, seconds)


def verdicts(found: TaskCheck) -> dict[str, str]:
    return {each.about: each.verdict for each in found.findings}


def line(found: TaskCheck, about: str) -> str:
    return next(each.found for each in found.findings if each.about == about)


def test_of_a_task_that_is_right_everything_holds() -> None:
    found = found_of("CartPole-v1")
    assert found.can_train and found.failures == [] and set(verdicts(found).values()) == {"yes"}
    assert set(found.steps_per_second) == {"1 environment", "3 environments"}
    assert len(found.episode_lengths) == len(found.episode_returns) > 10
    # A pole that is pushed at random falls after 8 steps at the least, and each of them gives 1.
    assert min(found.episode_lengths) >= 8 and list(found.episode_returns) == list(found.episode_lengths)
    assert line(found, "observation") == "float32[4]" and line(found, "actions") == "2"
    assert "own vectorised version" in line(found, "3 environments")
    assert found.suggestions == {}
    assert list(found_of("CartPole-v1", 5, num_envs=1).steps_per_second) == ["1 environment", "a batch of 1"]


def test_what_is_told_of_progress_counts_from_0_to_the_end() -> None:
    told: list[tuple[str, int, int]] = []
    check(Task(id="CartPole-v1", num_envs=2), lambda *where: told.append(where), env_steps=5)
    assert [where for where in told if where[0] == "2 environments"] == [("2 environments", n, 5) for n in range(6)]
    begun = [about for about, steps, _ in told if steps == 0]
    assert begun == ["1 environment", "2 environments", "info", "same seed", *["another seed"] * 3]


@pytest.mark.parametrize(
    ("task_id", "keys", "message"),
    [
        ("CartPol-v1", {}, 'unknown task "CartPol-v1"'),
        ("CartPole-v1", {"kwargs": {"mass": 3}}, "task.kwargs: CartPole-v1 takes no mass"),
        ("CartPole-v1", {"suite": "sweet"}, 'task.suite = "sweet": must be one of auto, gymnasium'),
    ],
)
def test_a_task_that_cannot_be_made_is_one_failure(task_id: str, keys: dict[str, Any], message: str) -> None:
    found = found_of(task_id, **keys)
    assert not found.can_train and len(found.failures) == 1 and found.failures[0].startswith(message)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda obs, *rest: (obs * np.nan, *rest), "observation[0] is nan, which is not finite"),
        (lambda obs, *rest: (obs[:1], *rest), "observation has shape (1,), but its space says (2,)"),
        (lambda obs, reward, *rest: (obs, np.inf, *rest), "reward is inf, which is not finite"),
        (lambda *right: right[:4], "step gave a tuple of 4"),
    ],
)
def test_a_broken_promise_is_a_failure_with_its_step(registered: Any, spoil: Any, message: str) -> None:
    task_id = registered(Odd, space=spaces.Box(-2, 2, (2,)), observation=TWO, spoil=spoil)
    found = found_of(task_id, max_episode_steps=9)
    assert not found.can_train
    for about in ("1 environment", "3 environments"):
        assert verdicts(found)[about] == "no" and "step 3: " + message in line(found, about)
    assert "values" not in verdicts(found)


def test_a_grid_and_branches_are_shown_with_their_values(registered: Any) -> None:
    class Grid(Careless):
        def __init__(self) -> None:
            super().__init__("alike")
            self.action_space = spaces.Box(-1, 1, (2,))  # type: ignore[assignment]

    task_id = registered(Grid)
    assert line(found_of(task_id, 5, action_bins=3), "actions") == "9, a grid of 3 × 3 values"
    branches = found_of(task_id, 5, action_bins=3, action_form="branches")
    assert branches.can_train and line(branches, "actions") == "2 branches, of 3 × 3 values"
    assert "task.action_bins" in found_of(task_id, 5).failures[0]


def test_an_environment_that_raises_is_a_failure_and_no_error(registered: Any) -> None:
    found = found_of(registered(Broken))
    assert not found.can_train and "the simulator did not start" in found.failures[0]


def test_a_vector_version_that_cannot_be_made_is_a_failure_and_no_error(registered: Any) -> None:
    def vector(num_envs: int, how: str) -> None:
        raise RuntimeError("no device")

    task_id = registered(Careless, how="alike")
    gymnasium.registry[task_id].vector_entry_point = vector
    found = found_of(task_id, env_steps=5)
    assert not found.can_train and len(found.failures) == 1 and "no device" in found.failures[0]
    assert verdicts(found)["1 environment"] == "yes" and verdicts(found)["3 environments"] == "no"


def test_a_task_that_takes_no_seed_can_be_trained_and_that_is_noted(registered: Any) -> None:
    found = found_of(registered(Careless, how="by chance"))
    assert found.can_train and verdicts(found)["same seed"] == "note" and verdicts(found)["another seed"] == "yes"
    assert verdicts(found)["state"] == "note"
    assert any("self.np_random" in each.found for each in found.findings if each.about == "same seed")


def test_a_task_that_begins_alike_whatever_the_seed_is_noted(registered: Any) -> None:
    found = found_of(registered(Careless, how="alike"))
    assert verdicts(found)["another seed"] == "note" and verdicts(found)["same seed"] == "yes"


def test_a_slow_task_is_ended_after_some_seconds(registered: Any) -> None:
    found = found_of(
        registered(Careless, how="alike", seconds=0.02), env_steps=200, seconds=0.1, num_envs=1, vectorization="sync"
    )
    assert found.can_train and "ended after" in line(found, "1 environment")


def test_what_info_tells_is_found_behind_what_passes_it_on(registered: Any) -> None:
    found = found_of(registered(Careless, how="alike"))
    assert line(found, "keys of info") == "action_mask, lives"
    assert {"task.action_masks=true", "task.end_on_life_loss=true", "task.reward_normalization=0.99"} == set(
        found.suggestions
    )


class Long(Careless):
    """Its episodes have a known length; a method gives its masks, and others only seem to."""

    def __init__(self, length: int) -> None:
        super().__init__("alike")
        self._length, self._left = length, 0

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        self._left = self._length
        return super().reset(**kwargs)[0], {"lives": 0}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._left -= 1
        return super().reset()[0], 1.0, self._left == 0, False, {"lives": 0}

    def valid_action_mask(self, mode: str = "job") -> list[bool]:
        return [True, False, True]

    def mask(self) -> list[bool]:
        return [True]

    def of_state_mask(self, state: int) -> list[bool]:
        raise NotImplementedError


def test_only_what_changes_something_is_suggested(registered: Any) -> None:
    """An episode may be longer than all plays, and none without an end."""
    found = found_of(registered(Long, length=400), env_steps=20)
    assert set(found.suggestions) == {"task.action_masks=true", "task.action_mask_source=method:valid_action_mask"}
    assert line(found, "episodes") == "1 ended, after 400 steps"
    assert found.episode_lengths == (400,)


def test_an_episode_without_an_end_is_played_until_it_is_known_to_be(registered: Any) -> None:
    found = found_of(registered(Long, length=0), env_steps=20, num_envs=1)
    assert "task.max_episode_steps=1000" in found.suggestions
    assert line(found, "episodes") == "none ended within 10,000 steps; the task has no limit of steps"
    assert "task.max_episode_steps=1000" not in found_of("tests/Checked-v0", 20, 0.0, num_envs=1).suggestions


def test_what_a_task_cannot_have_is_not_suggested(registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Picture(Careless):
        def __init__(self) -> None:
            super().__init__("alike")
            self.observation_space = spaces.Box(0, 255, (48, 48), np.uint8)  # type: ignore[assignment]

        def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
            return np.full((48, 48), super().reset(**kwargs)[0] > 0, np.uint8), {}

    def resolve_without_stacks(task: Task) -> TaskSpec:
        if task.frame_stack > 1:
            raise TaskError("frames can't be stacked")
        return resolve_spec(task)

    task_id = registered(Picture)
    images = ["network.kind=nature_cnn", "task.frame_stack=4", "replay.item=frames"]
    assert list(found_of(task_id, 5).suggestions)[:3] == images
    monkeypatch.setattr("tfdqn.tasks.checking.check.resolve_spec", resolve_without_stacks)
    assert list(found_of(task_id, 5).suggestions)[:2] == [images[0], images[2]]


@pytest.mark.parametrize("shape", [(3, 84, 84), (84, 84, 3)])
def test_what_networks_would_misread_of_an_image_is_noted(registered: Any, shape: tuple[int, ...]) -> None:
    space = spaces.Box(-np.inf, np.inf, shape, np.float32)
    task_id = registered(Odd, space=space, observation=np.full(shape, 200.0, np.float32))
    found = found_of(task_id, 5, num_envs=1, max_episode_steps=3)
    assert found.can_train and verdicts(found)["image"] == "note"
    if shape[0] == 3:
        assert "channels seem to come first" in line(found, "image") and found.suggestions == {}
    else:
        assert "numbers reach 200" in line(found, "image") and "network.kind=nature_cnn" in found.suggestions


def test_warnings_are_findings_and_not_on_the_terminal(registered: Any, caplog: pytest.LogCaptureFixture) -> None:
    outside = np.float32([0.5, 7.5])
    found = found_of(registered(Odd, space=spaces.Box(-2, 2, (2,)), observation=outside), max_episode_steps=40)
    assert found.can_train and "beyond the bounds" in line(found, "warning") and caplog.text == ""


def test_plays_that_fail_say_nothing_of_other_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_by_its_seed(task: Task, seed: int, *arguments: Any) -> Play:
        if seed:
            raise TaskError("failed")
        return play_at_random(task, seed, *arguments)

    monkeypatch.setattr("tfdqn.tasks.checking.check.play_at_random", fails_by_its_seed)
    found = found_of("CartPole-v1")
    assert [each.verdict for each in found.findings if each.about == "another seed"] == ["no", "no", "no"]
    assert found.failures == ["failed"]


def test_an_image_whose_wrapper_scales_it_and_not_its_space_is_noted(registered: Any) -> None:
    space = spaces.Box(0, 255, (48, 48, 3), np.float32)
    task_id = registered(Odd, space=space, observation=np.full(space.shape, 0.75, np.float32))
    found = found_of(task_id, 5, max_episode_steps=3)
    assert found.can_train and verdicts(found)["image"] == "note" and "reach only 0.75" in line(found, "image")
    task_id = registered(Odd, space=space, observation=np.full(space.shape, 75, np.float32))
    assert "image" not in verdicts(found_of(task_id, 5, max_episode_steps=3))


def test_another_dtype_than_that_of_the_box_is_noted(registered: Any) -> None:
    space = spaces.Dict({"a": spaces.Box(-2, 2, (2,)), "b": spaces.Box(0, 9, (2,), np.int32), "c": spaces.Discrete(3)})
    given = {"a": np.array([0.5, 1.5]), "b": np.array([1, 2], np.int32), "c": np.int8(2)}
    found = found_of(registered(Odd, space=space, observation=given), 5, max_episode_steps=3)
    assert found.can_train and verdicts(found)["dtype"] == "note"
    assert [each.found for each in found.findings if each.about == "dtype"] == [
        'observation "a" is float64, and is converted to float32, as its Box says'
    ]
    wrong = found_of(registered(Odd, space=space, observation=given | {"b": np.array([1.5, 2.0])}), 5)
    assert not wrong.can_train and "dtype" not in verdicts(wrong)
    assert all('observation "b" is float64' in each for each in wrong.failures)


def test_another_dtype_is_noted_at_whatever_step_it_comes(registered: Any) -> None:
    def as_float64(observation: np.ndarray, *others: Any) -> Any:
        assert not logging.getLogger("tfdqn.tasks.batched_task").isEnabledFor(logging.DEBUG)  # it would slow the steps
        return observation.astype(np.float64), *others

    given = {"space": spaces.Box(-2, 2, (2,)), "observation": TWO, "spoil": as_float64, "at": 31}
    assert line(found_of(registered(Odd, **given), 40), "dtype") == (
        "observation is float64, and is converted to float32, as its Box says"
    )
    assert "dtype" not in verdicts(found_of(registered(Odd, **given), 40, max_episode_steps=30))


def test_keys_that_a_dict_does_not_declare_are_noted(registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    space = spaces.Dict({"a": spaces.Box(-2, 2, (2,))})
    found = found_of(registered(Odd, space=space, observation={"a": TWO, "time": 3}), 5, max_episode_steps=3)
    assert found.can_train and "the observation has time, which its space" in line(found, "warning")
