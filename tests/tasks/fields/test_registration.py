"""What holds for each of tfdqn's own environments: a wrong argument is one line, and a task goes on from its state."""

from typing import Any

import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.checking.random_play import random_actions
from tfdqn.tasks.registry import make_task, resolve_spec

PUT, BATTERY, INVENTORY = (f"tfdqn/{name}-v0" for name in ("AmericanPut", "Battery", "Inventory"))
WRONG = {
    PUT: {"spot": 0.0, "strike": -2.0, "volatility": 0.0, "exercise_dates": 0},
    BATTERY: {"capacity_mwh": 0.0, "power_mw": -1.0, "efficiency": 1.01, "degradation_cost": -0.1},
    INVENTORY: {"fixed_cost": -1.0, "stockout_cost": 0.0, "demand_mean": -2, "capacity": 0},
}
# Keys by which episodes are short.
KEYS: dict[str, dict[str, Any]] = {
    PUT: {"kwargs": {"exercise_dates": 6}},
    BATTERY: {},
    INVENTORY: {"max_episode_steps": 20, "action_masks": True},
}


@pytest.mark.parametrize(
    ("task_id", "name", "value"), [(task_id, *each) for task_id, wrong in WRONG.items() for each in wrong.items()]
)
def test_a_wrong_argument_is_one_line_with_its_value(task_id: str, name: str, value: float) -> None:
    with pytest.raises(TaskError, match=rf"^task\.kwargs: .*{name}.* needed, not .*{value}") as caught:
        resolve_spec(Task(id=task_id, kwargs={name: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task_id", "names"), [(PUT, ("hold", "exercise")), (BATTERY, ("charge", "idle", "discharge"))]
)
def test_actions_have_their_names(task_id: str, names: tuple[str, ...]) -> None:
    assert resolve_spec(Task(id=task_id)).action_names == (names,)


@pytest.mark.parametrize("task_id", KEYS)
def test_a_task_goes_on_from_its_state(task_id: str) -> None:
    task, again = (make_task(Task(id=task_id, num_envs=3, **KEYS[task_id])) for _ in range(2))
    rng, (_, legal), state = np.random.default_rng(2), task.reset(1), None
    ahead = []
    for number in range(40):
        if number == 10:
            state = task.state()
        actions = random_actions(task.spec, legal, 3, rng)
        step = task.step(actions)
        legal = step.legal_actions
        ahead.append((actions, step))
    assert state is not None and any(step.ended.any() for _, step in ahead[10:])
    again.load_state(state)
    for actions, step in ahead[10:]:
        np.testing.assert_equal(again.step(actions)._asdict(), step._asdict())
