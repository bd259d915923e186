"""A task that gives its state goes on, in a fresh task, exactly as it would have."""

import io

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks import state_capture
from tfdqn.tasks.registry import make_task

TASKS = {
    "own CartPole": Task(num_envs=3),
    "own CartPole, cut short": Task(num_envs=3, max_episode_steps=9),
    "CartPole": Task(vectorization="sync", num_envs=2),
    "Acrobot": Task(id="Acrobot-v1", max_episode_steps=20, num_envs=2),
    "MountainCar": Task(id="MountainCar-v0", max_episode_steps=20, num_envs=2),
    "FrozenLake": Task(id="FrozenLake-v1", num_envs=2),
    "Taxi": Task(id="Taxi-v3", action_masks=True, max_episode_steps=15, num_envs=2),
    "fickle Taxi": Task(
        id="Taxi-v3", max_episode_steps=15, num_envs=2, kwargs={"fickle_passenger": True, "is_rainy": True}
    ),
    "the user's": Task(id="tests.support.toy_environments:Catch-v0", num_envs=2),
    "the user's, stacked": Task(
        id="tests.support.toy_environments:Catch-v0", num_envs=2, frame_stack=3, kwargs={"pixels": True}
    ),
    "the user's, with categories stacked": Task(
        id="tests.support.toy_environments:Chain-v0", num_envs=2, frame_stack=2, kwargs={"random_start": True}
    ),
}


def saved_and_loaded(arrays):
    """Through a file that may hold arrays only."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    return dict(np.load(file, allow_pickle=False))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("steps_before", [0, 7, 9, 40])
def test_a_restored_task_goes_on_bit_for_bit_over_several_resets(name, steps_before):
    whole, restored = make_task(TASKS[name]), make_task(TASKS[name])
    rng = np.random.default_rng(0)
    num_actions = whole.spec.num_actions[0]
    whole.reset(seed=5)
    for _ in range(steps_before):
        whole.step(rng.integers(num_actions, size=whole.num_envs, dtype=np.int32))
    restored.load_state(saved_and_loaded(whole.state()))
    np.testing.assert_equal(restored.observation, whole.observation)
    np.testing.assert_equal(restored.legal_actions, whole.legal_actions)
    resets = 0
    for _ in range(80):
        actions = rng.integers(num_actions, size=whole.num_envs, dtype=np.int32)
        expected, actual = whole.step(actions), restored.step(actions)
        np.testing.assert_equal(actual._asdict(), expected._asdict())
        resets += expected.is_reset.sum()
    assert resets >= 2


def test_the_state_of_many_environments_is_gone_through_once():
    class Read(dict[str, np.ndarray]):
        times = 0

        def items(self):
            self.times += 1
            return super().items()

    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 9)
    observation, _ = envs.reset(seed=3)
    state = Read(state_capture.read(envs))
    envs.step(np.zeros(9, np.int64))
    state_capture.write(envs, state, observation)
    assert state.times == 1
    np.testing.assert_equal(state_capture.read(envs), dict(state))


def test_a_state_taken_just_after_an_episodes_end_still_resets():
    cartpole = TASKS["own CartPole"]
    for settings in (cartpole, TASKS["CartPole"]):
        whole, restored = make_task(settings), make_task(settings)
        whole.reset(seed=0)
        while not (step := whole.step(np.zeros(whole.num_envs, np.int32))).terminated.any():
            pass
        restored.load_state(whole.state())
        actions = np.zeros(whole.num_envs, np.int32)
        expected, actual = whole.step(actions), restored.step(actions)
        np.testing.assert_array_equal(actual.is_reset, step.terminated)
        np.testing.assert_equal(actual._asdict(), expected._asdict())


def test_a_passenger_who_may_change_their_mind_still_may():
    whole, restored = make_task(TASKS["fickle Taxi"]), make_task(TASKS["fickle Taxi"])
    minds = set()
    for seed in range(10):
        whole.reset(seed=seed)
        restored.load_state(whole.state())
        for expected, actual in zip(whole._envs.envs, restored._envs.envs, strict=True):
            assert actual.unwrapped.fickle_step == expected.unwrapped.fickle_step
            minds.add(expected.unwrapped.fickle_step)
    assert minds == {False, True}


def test_a_state_taken_is_not_changed_by_further_steps():
    for settings in (TASKS["own CartPole"], TASKS["Acrobot"]):
        batched = make_task(settings)
        batched.reset(seed=0)
        state = batched.state()
        before = {name: array.copy() for name, array in state.items()}
        for _ in range(50):
            batched.step(np.zeros(batched.num_envs, np.int32))
        np.testing.assert_equal(state, before)


@pytest.mark.parametrize(
    "settings",
    [Task(id="LunarLander-v3", num_envs=1), Task(id="tests.support.toy_environments:Counter-v0", num_envs=1)],
)
def test_other_tasks_give_no_state(settings):
    batched = make_task(settings)
    batched.reset(seed=0)
    assert batched.state() is None
    with pytest.raises(TaskError, match="its state can't be saved"):
        batched.load_state({})


def test_a_subclass_of_a_known_task_is_not_trusted_to_hold_no_more(monkeypatch):
    from gymnasium.envs.classic_control.acrobot import AcrobotEnv

    batched = make_task(Task(id="Acrobot-v1", num_envs=1))
    batched.reset(seed=0)
    assert batched.state() is not None
    batched._envs.envs[0].unwrapped.__class__ = type("Windy", (AcrobotEnv,), {})
    assert batched.state() is None


def test_a_state_of_another_task_or_size_is_refused():
    two, three = make_task(Task(num_envs=2)), make_task(Task(num_envs=3))
    two.reset(seed=0)
    with pytest.raises(TaskError, match=r"this state belongs to another task \(missing or of another shape: done, "):
        three.load_state(two.state())


def test_a_state_that_is_not_made_of_numbers_is_refused(monkeypatch):
    from tests.support.toy_environments import Catch

    batched = make_task(Task(id="tests.support.toy_environments:Catch-v0", num_envs=1))
    batched.reset(seed=0)
    monkeypatch.setattr(Catch, "get_state", lambda self: {"text": "row 3"})
    with pytest.raises(TaskError, match='"state/text" is <U5, not an array or a number'):
        batched.state()
    monkeypatch.setattr(Catch, "get_state", lambda self: [1, 2])
    with pytest.raises(TaskError, match=r"get_state\(\) gave a list, not a dict"):
        batched.state()
