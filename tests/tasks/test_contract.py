"""Environments that break their word at some step: one line each, wherever they are stepped; and those that may."""

import logging

import numpy as np
import pytest
from gymnasium import spaces

from tfdqn.config import Task
from tfdqn.errors import NotFiniteError, TaskError
from tfdqn.tasks.registry import make_task

FLOATS = spaces.Box(-10, 10, (4,))
FOUR = np.full(4, 0.25, np.float32)
BYTES = spaces.Box(0, 255, (2, 2), np.uint8)
NESTED = spaces.Dict({"a": FLOATS, "b": spaces.Tuple([spaces.Discrete(3), spaces.Discrete(5, start=10)])})
NESTED_RIGHT = {"a": FOUR, "b": (1, 12)}


def odd(space, observation, **settings):
    kwargs = {"space": space, "observation": observation}
    kwargs |= {name: settings.pop(name) for name in ("spoil", "at") if name in settings}
    return make_task(Task(id="tests.support.toy_environments:Odd-v0", num_envs=2, kwargs=kwargs, **settings))


def stepped(batched, steps=4):
    batched.reset(seed=0)
    return [batched.step(np.zeros(batched.num_envs, np.int32)) for _ in range(steps)][-1]


def observes(instead):
    return lambda observation, *rest: (instead, *rest)


OUTSIDE = {
    "category": (spaces.Discrete(5), 2, 7, "observation is 7; its space is Discrete"),
    "negative category": (spaces.Discrete(5), 2, -1, "observation is -1;"),
    "before the first": (spaces.Discrete(5, start=10), 12, 3, "observation is 3; its space is Discrete"),
    "after the last": (spaces.Discrete(5, start=10), 12, 15, "observation is 15;"),
    "huge category": (spaces.Discrete(5), 2, 2**70, "observation is 1180591620717411303424;"),
    "one of several": (spaces.MultiDiscrete([3, 4]), [1, 1], [3, 1], r"observation\[0\] is 3;"),
    "bit": (spaces.MultiBinary(3), np.zeros(3, np.int8), np.array([0, 2, 1]), r"observation\[1\] is 2;"),
    "truth": (spaces.Box(0, 1, (2,), np.bool_), [False, True], [0, 2], r"observation\[1\] is 2, .* bool"),
    "integer": (spaces.Box(0, 10, (2,), np.int32), [1, 2], [1, 99], r"observation\[1\] is 99;"),
    "byte": (spaces.Box(0, 10, (2,), np.uint8), [1, 2], [200, 2], r"observation\[0\] is 200;"),
    "byte that wraps": (BYTES, np.zeros((2, 2), np.uint8), [[0, 1], [2, 256]], r"observation\[1, 1\] is 256,"),
    "each its own": (spaces.Box(np.array([0, 5]), np.array([3, 9]), dtype=np.int64), [0, 5], [4, 5], r"\[0\] is 4"),
    "in a dict": (NESTED, NESTED_RIGHT, {"a": FOUR, "b": (3, 12)}, 'observation "b_0" is 3;'),
    "in a tuple": (NESTED, NESTED_RIGHT, {"a": FOUR, "b": (1, 9)}, 'observation "b_1" is 9;'),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_what_lies_outside_its_space_is_an_error_that_names_it(case):
    space, right, wrong, says = OUTSIDE[case]
    stepped(odd(space, right))
    with pytest.raises(TaskError, match=rf"^tests\.support\.toy_environments:Odd-v0, environment 0, step 3: .*{says}"):
        stepped(odd(space, right, spoil=observes(wrong)))


OTHERWISE = {
    "column": (FLOATS, FOUR, FOUR.reshape(4, 1), r"observation has shape \(4, 1\), but its space says \(4,\)"),
    "longer": (FLOATS, FOUR, np.zeros(5, np.float32), r"has shape \(5,\)"),
    "one": (FLOATS, FOUR, np.zeros(1, np.float32), r"has shape \(1,\)"),
    "scalar": (FLOATS, FOUR, 0.5, r"has shape \(\)"),
    "none": (FLOATS, FOUR, None, "observation is None;"),
    "text": (FLOATS, FOUR, "abcd", "observation is 'abcd';"),
    "space": (FLOATS, FOUR, FLOATS, r"observation is Box\("),
    "pair": (FLOATS, FOUR, (FOUR, {}), "observation is not an array: a tuple of 2"),
    "floats for bytes": (BYTES, np.zeros((2, 2), np.uint8), np.full((2, 2), 0.5), r"is float64 \(array\(\[\[0.5"),
    "float for category": (spaces.Discrete(5), 2, 2.0, "observation is float64"),
    "not a number for integers": (spaces.Box(0, 9, (2,), np.int32), [1, 2], [1, np.nan], "observation is float64"),
    "complex": (FLOATS, FOUR, FOUR + 1j, r"observation is array\(\[0.25\+1.j"),
    "part missing": (NESTED, NESTED_RIGHT, {"a": FOUR}, "observation lacks b, which its space has"),
    "part none": (NESTED, NESTED_RIGHT, {"a": FOUR, "b": (1, None)}, 'observation "b_1" is None;'),
    "tuple too short": (NESTED, NESTED_RIGHT, {"a": FOUR, "b": (1,)}, 'observation "b" is a? ?.*, not a tuple of 2'),
    "no dict": (NESTED, NESTED_RIGHT, FOUR, "observation is array.*, not a dict"),
}


@pytest.mark.parametrize("case", OTHERWISE)
@pytest.mark.parametrize("frame_stack", [1, 2])
def test_another_shape_or_type_than_its_space_says_is_an_error(case, frame_stack):
    space, right, wrong, says = OTHERWISE[case]
    with pytest.raises(TaskError, match=f"Odd-v0, environment 0, step 3: .*{says}"):
        stepped(odd(space, right, spoil=observes(wrong), frame_stack=frame_stack))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda o, r, e, t, info: (o, r, e, info), r"step gave a tuple of 4, not \(observation, reward, term"),
        (lambda *right: (*right, 1), "step gave a tuple of 6"),
        (lambda *right: None, "step gave None"),
        (lambda o, r, e, t, info: (o, r, e, t, None), "step gave the info None, not a dict"),
        (lambda o, r, e, t, info: (o, None, e, t, info), "reward is None, not a number"),
        (lambda o, r, e, t, info: (o, np.ones(2), e, t, info), r"reward is array\(\[1., 1.\]\), not a number"),
        (lambda o, r, e, t, info: (o, r, None, t, info), "terminated is None, not true or false"),
        (lambda o, r, e, t, info: (o, r, e, "no", info), "truncated is 'no', not true or false"),
    ],
)
@pytest.mark.parametrize("limit", [0, 50])
def test_an_answer_of_another_form_is_an_error_that_says_what_came(spoil, says, limit):
    with pytest.raises(TaskError, match=f"Odd-v0, environment 0, step 3: {says}"):
        stepped(odd(FLOATS, FOUR, spoil=spoil, max_episode_steps=limit))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("space", "value", "says"),
    [
        (FLOATS, np.nan, r"observation\[2\] is nan, which is not finite"),
        (FLOATS, -np.inf, r"observation\[2\] is -inf, which is not finite"),
        (FLOATS, 1e39, r"observation\[2\] is 1e\+39, which is not finite in float32"),
        (spaces.Box(-np.inf, np.inf, (4,), np.float64), -1e39, r"observation\[2\] is -1e\+39, .* in float32"),
        (None, np.nan, "reward is nan, which is not finite"),
        (None, np.inf, "reward is inf, which is not finite"),
        (None, -1e39, r"reward is -1e\+39, which is not finite in float32"),
    ],
)
def test_a_number_that_is_not_finite_is_an_error_and_no_warning(space, value, says):
    if space is None:
        batched = odd(FLOATS, FOUR, spoil=lambda o, r, *rest: (o, value, *rest))
    else:
        batched = odd(space, FOUR, spoil=observes([0, 0, value, 0]))
    with pytest.raises(NotFiniteError, match=f"Odd-v0, environment 0, step 3: {says}"):
        stepped(batched)


@pytest.mark.filterwarnings("error")
def test_large_finite_numbers_are_no_error():
    space = spaces.Box(-np.inf, np.inf, (4,))
    step = stepped(odd(space, FOUR, spoil=lambda o, r, *rest: ([3e38] * 4, 3e38, *rest)), steps=3)
    assert (step.observation["observation"] == np.float32(3e38)).all() and (step.reward == np.float32(3e38)).all()


@pytest.mark.parametrize(
    ("space", "right", "given", "seen"),
    [
        (FLOATS, FOUR, [0.5, 1, 2, 3], [0.5, 1, 2, 3]),
        (FLOATS, FOUR, np.arange(4), [0, 1, 2, 3]),
        (FLOATS, FOUR, np.arange(4.0)[::-1], [3, 2, 1, 0]),
        (spaces.Discrete(3), 1, True, 1),
        (spaces.Discrete(3), 1, np.array(2, np.uint8), 2),
        (spaces.MultiBinary(2), [0, 1], np.array([True, False]), [1, 0]),
        (BYTES, np.zeros((2, 2), np.uint8), [[0, 1], [2, 255]], [[0, 1], [2, 255]]),
        (spaces.Dict({"a": FLOATS}), {"a": FOUR}, {"a": FOUR, "more": None}, [0.25] * 4),
    ],
)
def test_the_same_numbers_in_another_container_are_taken(space, right, given, seen):
    step = stepped(odd(space, right, spoil=observes(given)), steps=3)
    for array in step.observation.values():
        np.testing.assert_array_equal(array, [seen, seen])


@pytest.mark.parametrize("reward", [2, True, np.float64(2.5), np.int8(3), np.array(1.5), np.array([1.5])])
def test_a_reward_is_whatever_holds_one_number(reward):
    step = stepped(odd(FLOATS, FOUR, spoil=lambda o, r, *rest: (o, reward, *rest)), steps=3)
    assert step.reward.dtype == np.float32 and (step.reward == np.float32(np.asarray(reward).item())).all()


def test_what_environments_tell_beside_is_nobodys_trouble():
    def tells(observation, reward, terminated, truncated, _):
        return observation, reward, terminated, truncated, {"path": np.zeros(tells.steps), "x": None}

    tells.steps = 0
    batched = odd(FLOATS, FOUR, spoil=tells, at=0)
    batched.reset(seed=0)
    for tells.steps in range(3):
        assert (batched.step(np.zeros(2, np.int32)).reward == 1).all()


def test_floats_beyond_their_bounds_are_warned_of_once(caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    for _ in range(2):
        step = stepped(odd(FLOATS, FOUR, spoil=observes(np.array([0, 0, 0, 10.5], np.float32)), at=0))
        assert (step.observation["observation"][:, 3] == 10.5).all()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "Odd-v0, environment 0, step 1: observation[3] is 10.5, beyond the bounds" in record.getMessage()


def test_floats_beyond_their_bounds_by_rounding_are_no_news(caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    stepped(odd(FLOATS, FOUR, spoil=observes(np.nextafter(np.full(4, 10, np.float32), np.float32(11)))))
    assert not caplog.records


def test_a_reset_is_checked_too():
    broken = make_task(Task(id="tests.support.toy_environments:Broken-v0", num_envs=2, kwargs={"how": "shape"}))
    where = r"^tests\.support\.toy_environments:Broken-v0, environment 0, reset"
    with pytest.raises(TaskError, match=rf"{where}: .* shape \(2,\), but its space says \(3,\)"):
        broken.reset(seed=0)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("how", ["same", "reversed"])
@pytest.mark.parametrize("frame_stack", [1, 3])
def test_an_array_that_is_given_again_is_copied_before_it_changes(how, frame_stack, shared):
    settings = {"num_envs": 2, "frame_stack": frame_stack, "kwargs": {"how": how, "shared": shared}}
    batched = make_task(Task(id="tests.support.toy_environments:OneArray-v0", **settings))
    batched.reset(seed=0)
    count, forward = (-1, 0) if how == "same" else (0, -1)
    for step in range(1, 6):
        seen = batched.step(np.zeros(2, np.int32)).observation["observation"]
        counts = -seen[..., count].reshape(2, frame_stack)
        np.testing.assert_array_equal(counts, [np.maximum(np.arange(step - frame_stack + 1, step + 1), 0)] * 2)
        starts = seen[..., forward].reshape(2, frame_stack) - counts
        assert (starts == starts[:, :1]).all() and starts[0, 0] != starts[1, 0]


def test_a_breach_in_a_process_of_its_own_is_the_same_line_and_prints_nothing(capfd):
    batched = odd(BYTES, np.zeros((2, 2), np.uint8), spoil=observes([[0, 1], [2, 0.5]]), vectorization="async")
    try:
        with pytest.raises(TaskError, match=r"Odd-v0, environment \d, step 3: observation is float64"):
            stepped(batched)
    finally:
        batched.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("at", "place"), [(0, "reset"), (1, "step 1"), (5, "step 5"), (16, "step 16"), (17, "step 17")]
)
def test_the_warning_names_the_first_step_beyond_the_bounds(at, place, caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    wide = np.full(50_000 if at == 17 else 4, 0.25, np.float32)  # of large arrays, few steps are looked at
    if at == 0:
        stepped(odd(FLOATS, FOUR * 44), steps=20)
    else:
        stepped(odd(spaces.Box(-10, 10, wide.shape), wide, spoil=observes(wide * 44), at=at), steps=33)
    (record,) = caplog.records
    assert f"Odd-v0, environment 0, {place}: observation[0] is 11, beyond the bounds" in record.getMessage()


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_keys_that_a_space_does_not_declare_are_warned_of_once(vectorization, caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    space = spaces.Dict({"a": FLOATS, "b": spaces.Tuple([spaces.Dict({"c": FLOATS})])})
    given = {"a": FOUR, "b": ({"c": FOUR, "speed": 3},), "time": 1.0}
    for _ in range(2):
        task = odd(space, given, vectorization=vectorization)
        try:
            assert sorted(stepped(task).observation) == ["a", "b_0_c"]
        finally:
            task.close()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    said = "the observation has time, b_0_speed, which its space doesn't declare: left out"
    assert record.getMessage() == f"tests.support.toy_environments:Odd-v0: {said}"


@pytest.mark.parametrize("place", ["info", "observation"])
@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_a_mask_that_is_not_used_is_warned_of_once(vectorization, place, caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    settings = {"id": "tests.support.toy_environments:Masked-v0", "num_envs": 2, "vectorization": vectorization}
    for is_used in (True, False, False):
        task = make_task(Task(**settings, action_masks=is_used, kwargs={"places": place}))
        try:
            task.reset(seed=0)
        finally:
            task.close()
        assert len(caplog.records) == (not is_used)
    said = f'gives {place}["action_mask"], which task.action_masks = true would make use of'
    assert caplog.messages == [f"tests.support.toy_environments:Masked-v0 {said}"]


def test_a_mask_in_the_observation_is_declared(caplog):
    task = make_task(
        Task(
            id="tests.support.toy_environments:Masked-v0",
            num_envs=2,
            action_masks=True,
            action_mask_source="observation",
            kwargs={"places": "observation"},
        )
    )
    task.reset(seed=0)
    assert not caplog.records
