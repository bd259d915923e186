"""A task's own vector version that breaks its word: one line that names the environment and the step."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from tfdqn.config import Task
from tfdqn.errors import NotFiniteError, TaskError, UserError
from tfdqn.task_spec import TaskSpec, discrete
from tfdqn.tasks.adapters.learning_signal import LearningSignal
from tfdqn.tasks.array_contract import CONVERSIONS
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.contract import Contract
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.observations import observation_specs

FLOATS = spaces.Box(-10, 10, (4,))
FOUR = np.full(4, 0.25, np.float32)


class Own(gymnasium.vector.VectorEnv):
    """A vector version of the task's own that gives what it is told."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, space, observation, reward=(1.0, 1.0)):
        self.num_envs = 2
        self.single_observation_space, self.observation_space = space, batch_space(space, 2)
        self.single_action_space = spaces.Discrete(2)
        self.given, self.reward = observation, reward

    def reset(self, *, seed=None, options=None):
        return self.given, {}

    def step(self, actions):
        return self.given, np.array(self.reward), np.zeros(2, bool), np.zeros(2, bool), {}


@pytest.mark.parametrize(
    ("space", "right", "wrong", "says"),
    [
        (spaces.Discrete(5), [1, 2], [1, 5], "environment 1, step 1: observation is 5;"),
        (spaces.Discrete(5), [1, 2], [1.0, 2.0], "step 1: observation is float64"),
        (spaces.Discrete(5), [1, 2], [[1], [2]], r"step 1: observation has shape \(2, 1\)"),
        (spaces.Box(0, 255, (1,), np.uint8), [[0], [1]], [[0], [256]], "environment 1, step 1: observation.* is 256"),
        (FLOATS, [FOUR, FOUR], [FOUR, FOUR * np.nan], r"environment 1, step 1: observation\[0\] is nan"),
        (spaces.Dict({"a": FLOATS}), {"a": [FOUR, FOUR]}, {}, 'step 1: observation "a" is missing'),
    ],
)
def test_a_tasks_own_vector_version_is_held_to_the_same(space, right, wrong, says):
    spec = TaskSpec(id="Own-v0", observation=observation_specs(space), actions=discrete(2))
    envs = Own(space, right)
    task = BatchedTask(lambda: envs, spec, Restarts(), LearningSignal(Task()))
    task.reset(seed=0)
    envs.given = wrong
    with pytest.raises(UserError, match=f"Own-v0, {says}"):
        task.step(np.zeros(2, np.int32))
    envs.given, envs.reward = right, (1.0, np.inf)
    with pytest.raises(NotFiniteError, match="Own-v0, environment 1, step 2: reward is inf"):
        task.step(np.zeros(2, np.int32))
    assert task.observation.keys() == spec.observation.keys()


def test_another_dtype_than_that_of_the_box_is_logged_for_those_who_debug(caplog):
    spec = TaskSpec(id="Own-v0", observation=observation_specs(FLOATS), actions=discrete(2))
    envs = Own(FLOATS, np.stack([FOUR, FOUR]))
    task = BatchedTask(lambda: envs, spec, Restarts(), LearningSignal(Task()))
    with caplog.at_level("DEBUG", CONVERSIONS):
        task.reset(seed=0)
        task.step(np.zeros(2, np.int32))
        assert caplog.messages == []  # rewards and ends are converted, too
        envs.given = envs.given.astype(np.float64)
        for _ in range(2):  # logged once, since it takes longer than the conversion
            task.step(np.zeros(2, np.int32))
    assert caplog.messages == ["observation is float64, and is converted to float32, as its Box says"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (np.zeros((3, 4)), "reset gave float64 of shape"),
        (None, "reset gave None, not"),
        ((), r"reset gave \(\), not"),
        (([FOUR, FOUR], None), "reset gave the info None"),
    ],
)
def test_a_vector_versions_first_answer_is_one_of_gymnasiums_form(answer, says, monkeypatch):
    spec = TaskSpec(id="Own-v0", observation=observation_specs(FLOATS), actions=discrete(2))
    monkeypatch.setattr(Own, "reset", lambda self, **kwargs: answer)
    with pytest.raises(TaskError, match=f"Own-v0, reset: {says}"):
        BatchedTask(lambda: Own(FLOATS, [FOUR, FOUR]), spec, Restarts(), LearningSignal(Task())).reset(seed=0)


def test_keys_that_its_space_does_not_declare_are_warned_of_but_for_a_mask(caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    space, given = spaces.Dict({"a": FLOATS}), {"a": [FOUR, FOUR], "action_mask": np.ones((2, 2), np.int8)}
    spec = TaskSpec(id="Own-v0", observation=observation_specs(space), actions=discrete(2), action_masks=True)
    Contract(space, spec, 2).reset((given, {}))
    assert not caplog.records
    for _ in range(2):
        Contract(space, spec, 2).reset((given | {"time": [1, 2]}, {}))
    assert caplog.messages == ["Own-v0: the observation has time, which its space doesn't declare: left out"]


def test_masks_that_are_not_used_are_warned_of_once(caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    spec = TaskSpec(id="Own-v0", observation=observation_specs(FLOATS), actions=discrete(2), action_masks=True)
    given = ([FOUR, FOUR], {"action_mask": np.ones((2, 2), np.int8)})
    Contract(FLOATS, spec, 2).reset(given)
    assert not caplog.records
    spec = TaskSpec(id="Own-v0", observation=observation_specs(FLOATS), actions=discrete(2))
    Contract(FLOATS, spec, 2).reset((given[0], {}))
    assert not caplog.records
    for _ in range(2):
        Contract(FLOATS, spec, 2).reset(given)
    assert caplog.messages == ['Own-v0 gives info["action_mask"], which task.action_masks = true would make use of']
