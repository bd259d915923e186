"""Rewards to learn from, against NumPy and against gymnasium's own wrapper; the task's own are what is scored."""

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers.vector import NormalizeReward

from tests.support.lives import REWARDS
from tfdqn.acting.actor import Actor
from tfdqn.acting.policy import Policy
from tfdqn.config import Task
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard, WeightsClient
from tfdqn.tasks.adapters.rewards import Rewards, RunningScale
from tfdqn.tasks.registry import make_task
from tfdqn.types import Step

DISCOUNT = 0.9


def step_of(reward, terminated=None, truncated=None, is_reset=None) -> Step:
    nothing = np.zeros(len(reward), bool)
    flags = [nothing if each is None else np.array(each) for each in (terminated, truncated, is_reset)]
    return Step({}, np.array(reward, np.float32), *flags, None)


def played(task, steps):
    task.reset(0)
    return [task.step(np.zeros(task.num_envs, np.int32)) for _ in range(steps)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"reward_clip": 1.0}, np.clip(REWARDS, -1, 1)), ({"reward_sign": True}, np.sign(REWARDS))],
)
def test_rewards_are_changed_to_learn_from_and_scored_as_they_are(settings, expected):
    steps = played(make_task(Task(id="ThreeLives-v0", num_envs=1, **settings)), 12)
    np.testing.assert_array_equal([step.reward[0] for step in steps], expected)
    np.testing.assert_array_equal([step.score[0] for step in steps], REWARDS)
    assert steps[0].reward.dtype == np.float32
    assert not any(step.is_life_lost is not None for step in steps)


def test_rewards_are_divided_by_the_deviation_of_the_returns_so_far():
    """Against every return kept in a list, with ends of every kind; gymnasium's moments begin as if of 1e-4 more."""
    rng = np.random.default_rng(0)
    scale, returns, seen = RunningScale(DISCOUNT, 3), np.zeros(3), []
    is_reset = np.zeros(3, bool)
    for _ in range(300):
        terminated, truncated = (~is_reset & (rng.random(3) < 0.1) for _ in range(2))
        truncated &= ~terminated
        reward = np.where(is_reset, 0.0, rng.normal(-20.0, 7.0, 3)).astype(np.float32)
        for env in np.flatnonzero(~is_reset):
            returns[env] = DISCOUNT * returns[env] + reward[env]
            seen.append(returns[env])
        scaled = scale(step_of(reward, terminated, truncated, is_reset))
        np.testing.assert_allclose(scaled, reward / np.std(seen), rtol=1e-3)
        returns[terminated | truncated] = 0
        is_reset = terminated | truncated
    mean, variance, count = scale.moments()
    np.testing.assert_allclose([mean, variance], [np.mean(seen), np.var(seen)], rtol=1e-4)
    assert round(count) == len(seen)


def test_without_ends_it_is_what_gymnasiums_wrapper_gives():
    envs = gymnasium.make_vec("Pendulum-v1", 4, vectorization_mode="sync", max_episode_steps=1000)
    theirs = NormalizeReward(envs, gamma=DISCOUNT)
    rewards = Rewards(Task(num_envs=4, reward_normalization=DISCOUNT, reward_clip=0.3))
    theirs.reset(seed=0)
    envs.action_space.seed(0)
    for _ in range(200):
        before = theirs.return_rms.count
        _, normal, _, _, _ = theirs.step(envs.action_space.sample())
        assert theirs.return_rms.count == before + 4
        own = normal * np.sqrt(theirs.return_rms.var + theirs.epsilon)
        np.testing.assert_allclose(rewards(step_of(own)), np.clip(normal, -0.3, 0.3), rtol=1e-4)


def test_what_it_has_counted_outlives_episodes_and_is_saved_where_the_task_gives_no_state():
    settings = Task(id="NoLives-v0", num_envs=2, reward_normalization=DISCOUNT)

    def actor():
        board = WeightsBoard()
        board.put(VersionedWeights(0, {}))
        task = make_task(settings)
        task.state = lambda: None  # type: ignore[method-assign]
        policy = Policy(lambda weights, observation, *_: np.zeros((2, 2), np.float32))
        made = Actor(task, policy, WeightsClient(board), _Nowhere(), np.random.default_rng(0))  # type: ignore[arg-type]
        made.reset(0)
        return made, task

    whole, task = actor()
    for _ in range(30):
        whole.step()
    moments = task.lasting_state()["moments"]
    assert moments[2] > 50
    task.reset(1)
    np.testing.assert_array_equal(task.lasting_state()["moments"], moments)
    resumed, its_task = actor()
    assert not resumed.load_state(whole.state())
    np.testing.assert_array_equal(its_task.lasting_state()["moments"], moments)


def test_a_restored_task_scales_as_one_that_went_on():
    settings = Task(id="ThreeLives-v0", num_envs=2, reward_normalization=DISCOUNT)
    whole, restored = make_task(settings), make_task(settings)
    played(whole, 5)
    restored.load_state(whole.state())
    restored.load_lasting_state(whole.lasting_state())
    for _ in range(20):
        expected, actual = (task.step(np.zeros(2, np.int32)) for task in (whole, restored))
        np.testing.assert_equal(actual._asdict(), expected._asdict())


class _Nowhere:
    """A writer that writes nothing."""

    def write(self, experience) -> int:
        return 0
