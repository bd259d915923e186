"""Legal actions: beside the observation they belong to, and an error that says where where they are missing."""

import numpy as np
import pytest
from gymnasium import spaces

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.registry import make_task


def masked_task(**kwargs):
    settings = {name: kwargs.pop(name) for name in ("vectorization", "action_mask_form") if name in kwargs}
    task_id = "tests.support.toy_environments:Masked-v0"
    return make_task(Task(id=task_id, num_envs=2, action_masks=True, kwargs=kwargs, **settings))


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"form": "float64"},
        {"form": "logits"},
        {"places": "observation"},
        {"places": "observation", "form": "logits", "vectorization": "async"},
        {"places": "method", "form": "bool", "vectorization": "async"},
    ],
)
def test_masks_are_those_of_the_observation_beside_them_also_on_the_rows_around_a_reset(kwargs):
    masked = masked_task(**kwargs)
    try:
        observation, legal = masked.reset(seed=0)
        illegal = {0: 0, 1: 1, 2: 2}
        for _ in range(12):
            (positions,) = observation.values()
            for position, row in zip(positions, legal, strict=True):
                terminated = kwargs.get("places") == "method" and position == 3  # where no mask is asked for
                expected = [terminated or action != position % 3 for action in range(3)]
                assert [bool(mask) for mask in row] == expected
            actions = np.array([(illegal.get(int(p), 0) + 1) % 3 for p in positions], np.int32)
            step = masked.step(actions)
            observation, legal = step.observation, step.legal_actions
    finally:
        masked.close()


def test_a_dict_that_a_mask_leaves_keeps_its_other_keys():
    assert list(masked_task(places="observation").spec.observation) == ["position"]


def test_taxi_gives_its_masks():
    taxi = make_task(Task(id="Taxi-v3", num_envs=3, action_masks=True, max_episode_steps=4))
    _, legal = taxi.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(12):
        step = taxi.step(np.array([rng.choice(np.flatnonzero(row)) for row in legal], np.int32))
        envs = [env.unwrapped for env in taxi._envs.envs]
        expected = np.array([env.action_mask(env.s) for env in envs], bool)
        np.testing.assert_array_equal(step.legal_actions, expected)
        legal = step.legal_actions


def test_after_a_termination_no_mask_is_needed():
    masked = masked_task(omit="end")
    masked.reset(seed=0)
    steps = [masked.step(np.array([action] * 2, np.int32)) for action in (1, 0, 0)]
    assert steps[-1].terminated.all() and steps[-1].legal_actions.all()


@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [
        (
            {"omit": "everywhere"},
            r'action_masks is true, but .*Masked-v0 gives no info\["action_mask"\]: task.action_mask_source says',
        ),
        ({"omit": "empty"}, r"environment 0, step \d: info.*has no legal action"),
        ({"omit": "empty", "places": "observation"}, r'environment 0, step \d: observation "action_mask" has no legal'),
        ({"omit": "empty", "places": "method"}, r"environment 0, step \d: action_masks\(\) has no legal action$"),
        (
            {"omit": "empty", "form": "float64"},
            'has no legal action: if 0 means legal, set task.action_mask_form = "logits"',
        ),
        ({"omit": "end", "endless": True}, "gives no info.*: it has given one before"),
    ],
)
def test_a_missing_or_empty_mask_is_an_error_that_says_where(kwargs, reason):
    masked = masked_task(**kwargs)
    with pytest.raises(TaskError, match=reason):
        masked.reset(seed=0)
        for action in (1, 0, 0):
            masked.step(np.array([action] * 2, np.int32))


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (np.ones(4, np.int8), r"has shape \(4,\), not \(2,\)"),
        ([1, np.nan], r"is array\(\[ 1., nan\]\), not a boolean for each action"),
        (["yes", "no"], r"is array\(.*\), not a boolean for each action"),
    ],
)
def test_a_mask_of_another_form_is_an_error(mask, says):
    def gives(each):
        return lambda observation, reward, terminated, truncated, _: (observation, 1.0, True, False, each)

    kwargs = {"space": spaces.Discrete(2), "observation": 0, "at": 0, "info": {"action_mask": [1, 0.5]}}
    task = make_task(
        Task(
            id="tests.support.toy_environments:Odd-v0",
            num_envs=2,
            action_masks=True,
            kwargs=kwargs | {"spoil": gives({})},
        )
    )
    assert task.reset(seed=0)[1].all() and task.step(np.zeros(2, np.int32)).legal_actions.all()
    kwargs["spoil"] = gives({"action_mask": mask})
    task = make_task(Task(id="tests.support.toy_environments:Odd-v0", num_envs=2, action_masks=True, kwargs=kwargs))
    task.reset(seed=0)
    with pytest.raises(TaskError, match=rf'Odd-v0, environment 0, step 1: info\["action_mask"\] {says}'):
        task.step(np.zeros(2, np.int32))
