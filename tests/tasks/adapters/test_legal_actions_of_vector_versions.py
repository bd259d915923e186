"""A task's own vector version gives masks as its environments do: in info, in the observation, by a method."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space

from tests.support.toy_environments import Masked
from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.registry import make_task

ENVS = 3


class MaskedVector(VectorEnv):
    """`Masked`, many at once: all go on by one, whatever is done. At step `nothing_at` environment 1 has no mask."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    nothing_at = 99

    def __init__(self, num_envs, places="info", form="int8"):
        self.num_envs, self._places, self._form = num_envs, places, form
        self.single_observation_space = Masked(places=places, form=form).observation_space
        self.single_action_space = spaces.Discrete(3)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.positions = np.arange(num_envs)

    def reset(self, *, seed=None, options=None):
        self.positions, self.steps = np.arange(self.num_envs) % 3, 0
        return self._observe(), self._info()

    def step(self, actions):
        self.positions = (self.positions + 1) % 3
        self.steps += 1
        nothing = np.zeros(self.num_envs, bool)
        return self._observe(), np.ones(self.num_envs), nothing, nothing, self._info()

    def action_masks(self):
        legal = np.arange(3) != self.positions[:, np.newaxis]
        if self.steps == self.nothing_at:
            legal[1] = False
        return np.where(legal, 0, -np.inf) if self._form == "logits" else legal.astype(self._form)

    def _observe(self):
        if "observation" not in self._places:
            return self.positions
        return {"position": self.positions, "action_mask": self.action_masks()}

    def _info(self):
        return {"action_mask": self.action_masks()} if "info" in self._places else {}


@pytest.fixture
def registered():
    gymnasium.register("MaskedVector-v0", Masked, vector_entry_point=MaskedVector)
    yield
    del gymnasium.registry["MaskedVector-v0"]


def masked(**kwargs):
    return make_task(Task(id="MaskedVector-v0", num_envs=ENVS, action_masks=True, vectorization="own", kwargs=kwargs))


@pytest.mark.parametrize("form", ["bool", "float32", "logits"])
@pytest.mark.parametrize("places", ["info", "observation", "method"])
def test_an_own_version_gives_the_masks_of_its_environments(places, form, registered):
    task = masked(places=places, form=form)
    assert task.is_own_vector_version
    observation, legal = task.reset(seed=0)
    for _ in range(3):
        (positions,) = observation.values()
        np.testing.assert_array_equal(legal, np.arange(3) != positions[:, np.newaxis])
        step = task.step(np.zeros(ENVS, np.int32))
        observation, legal = step.observation, step.legal_actions


def test_an_own_version_without_the_mask_is_not_used(registered, monkeypatch):
    monkeypatch.setattr(MaskedVector, "_info", lambda self: {})
    with pytest.raises(TaskError, match=r'gives no action masks by info\["action_mask"\]; set task.vectorization'):
        masked()
    auto = make_task(Task(id="MaskedVector-v0", num_envs=2, action_masks=True))
    assert isinstance(auto._envs, SyncVectorEnv)


def test_a_mask_with_nothing_legal_is_one_line_that_names_the_environment(registered, monkeypatch):
    monkeypatch.setattr(MaskedVector, "nothing_at", 2)
    task = masked(places="observation")
    task.reset(seed=0)
    task.step(np.zeros(ENVS, np.int32))
    with pytest.raises(
        TaskError, match='MaskedVector-v0, environment 1, step 2: observation "action_mask" has no legal'
    ):
        task.step(np.zeros(ENVS, np.int32))
