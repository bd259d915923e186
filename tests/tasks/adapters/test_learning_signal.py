"""What is learned from beside what is scored: changed rewards, lives as ends, in replay and in statistics."""

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers.vector import NormalizeReward

from tests.support.batches import vector_spec
from tests.support.lives import REWARDS
from tfdqn.acting.actor import Actor
from tfdqn.acting.policy import Policy
from tfdqn.config import Task
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.errors import TaskError
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.tasks.adapters.learning_signal import LearningSignal, Rewards, RunningScale
from tfdqn.tasks.episode_statistics import EpisodeStatistics
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.registry import make_task
from tfdqn.types import Experience, Step

DISCOUNT = 0.9


def step_of(reward, terminated=None, truncated=None, is_reset=None) -> Step:
    nothing = np.zeros(len(reward), bool)
    ended, cut, reset = (nothing if each is None else np.array(each) for each in (terminated, truncated, is_reset))
    return Step({}, np.array(reward, np.float32), ended, cut, reset, None)


def played(task, steps):
    task.reset(0)
    return [task.step(np.zeros(task.num_envs, np.int32)) for _ in range(steps)]


def test_replay_gets_what_is_learned_from_and_statistics_what_the_task_gave():
    task = make_task(Task(id="ThreeLives-v0", num_envs=1, reward_clip=1.0, end_on_life_loss=True))
    codec, rows = TransitionCodec(vector_spec(1, 2)), []
    writer = NStepWriter(codec, 1, Horizon(2, 0.5), lambda new: rows.append(new.copy()))
    statistics, finished = EpisodeStatistics(1), []
    observation, _ = task.reset(0)
    for _ in range(13):
        action = np.zeros(1, np.int32)
        step = task.step(action)
        writer.write(Experience(observation, None, action, step))
        finished.append(statistics.add(step))
        observation = step.observation
    found = codec.from_bytes(np.concatenate(rows))
    # Rewards 1, 1, -.5, 1 | 1, -.5, 1, 1 | -.5, 1, 1, -.5 of the three lives, summed over two steps with 0.5.
    wanted = [1.5, 0.75, 0.0, 1.0, 0.75, 0.0, 1.5, 1.0, 0.0, 1.5, 0.75, -0.5]
    order = found["observation/observation"][:, 0].argsort()
    np.testing.assert_allclose(found["reward"][order], wanted)
    np.testing.assert_allclose(found["discount"][order], [0.25, 0.25, 0, 0] * 3)
    ended = [each for each in finished if each is not None]
    assert len(ended) == 1
    assert (ended[0].returns[0], ended[0].lengths[0]) == (REWARDS.sum(), 12)


def test_where_a_task_is_learned_from_as_it_is_steps_stay_and_nothing_is_saved():
    signal, step = LearningSignal(Task()), step_of([5.0])
    signal.reset({})
    assert signal.step(step, {}) is step
    assert signal.state() == signal.lasting_state() == {}


def test_a_lost_life_ends_the_return_that_scales_rewards():
    settings = Task(id="ThreeLives-v0", num_envs=1, reward_normalization=0.5, end_on_life_loss=True)
    task = make_task(settings)
    task.reset(0)
    for _ in range(5):
        task.step(np.zeros(1, np.int32))
    # 5, 5, -0.5, 5 and a life is lost; then 5 of the next: with 0.5, returns 5, 7.5, 3.25, 6.625, and 5 anew.
    returns = [5, 7.5, 3.25, 6.625, 5]
    mean, _, count = task.lasting_state()["moments"]
    np.testing.assert_allclose(mean, np.mean(returns), rtol=1e-4)
    assert round(count) == 5


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
        made = Actor(task, policy, board, _Nowhere(), np.random.default_rng(0))  # type: ignore[arg-type]
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


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_a_lost_life_is_an_end_to_learn_from_and_the_episode_goes_on(vectorization):
    task = make_task(Task(id="ThreeLives-v0", num_envs=2, vectorization=vectorization, end_on_life_loss=True))
    steps = played(task, 26)  # of 12, and one that only resets, twice
    task.close()
    for env in range(2):
        assert [t for t, step in enumerate(steps) if step.terminated[env]] == [3, 7, 11, 16, 20, 24]
        assert [t for t, step in enumerate(steps) if step.is_life_lost[env]] == [3, 7, 16, 20]
        assert [t for t, step in enumerate(steps) if step.ended[env]] == [11, 24]
        assert [t for t, step in enumerate(steps) if step.is_reset[env]] == [12, 25]
        assert [step.observation["observation"][env, 0] for step in steps[:14]] == [*range(1, 13), 0, 1]


@pytest.mark.parametrize("num_envs", [1, 2])
def test_an_environment_made_anew_begins_with_all_its_lives(num_envs):
    restarts = Restarts(num_envs, say=lambda line: None)
    task = make_task(
        Task(id="ThreeLives-v0", num_envs=num_envs, end_on_life_loss=True, kwargs={"fails_at": 6}), restarts=restarts
    )
    steps = played(task, 5)
    for env in range(num_envs):
        assert [t for t, step in enumerate(steps) if step.is_life_lost[env]] == [3]
    failed, *after = (task.step(np.zeros(num_envs, np.int32)) for _ in range(6))
    assert failed.is_reset.all() and restarts.count == num_envs
    for env in range(num_envs):
        assert [step.observation["observation"][env, 0] for step in after] == [0, 1, 2, 3, 4]
        assert [t for t, step in enumerate(after) if step.is_life_lost[env]] == [4]


def test_a_restored_game_has_the_lives_that_were_left():
    settings = Task(id="ThreeLives-v0", num_envs=2, end_on_life_loss=True)
    whole, restored = make_task(settings), make_task(settings)
    played(whole, 5)
    restored.load_state(whole.state())
    for _ in range(9):
        expected, actual = (task.step(np.zeros(2, np.int32)) for task in (whole, restored))
        np.testing.assert_equal(actual._asdict(), expected._asdict())


@pytest.mark.parametrize("num_envs", [1, 2])
@pytest.mark.parametrize(("lives", "said"), [(None, "is missing"), (2.5, "is 2.5, not a whole number")])
def test_a_task_that_stops_telling_its_lives_is_refused_in_one_line(num_envs, lives, said):
    task = make_task(Task(id="ThreeLives-v0", num_envs=num_envs, end_on_life_loss=True, kwargs={"odd_lives": lives}))
    task.reset(0)
    task.step(np.zeros(num_envs, np.int32))
    with pytest.raises(TaskError) as caught:
        task.step(np.zeros(num_envs, np.int32))
    line = f'info["lives"] {said}, and task.end_on_life_loss is true'
    assert line in str(caught.value) and "environment 0" in str(caught.value) and "step 2" in str(caught.value)


def test_a_task_without_lives_is_refused_in_one_line():
    with pytest.raises(TaskError, match=r'NoLives-v0, environment 0.*info\["lives"\] is missing'):
        make_task(Task(id="NoLives-v0", num_envs=1, end_on_life_loss=True)).reset(0)
    with pytest.raises(TaskError, match="gives no numbers of lives"):
        make_task(Task(id="CartPole-v1", num_envs=1, vectorization="own", end_on_life_loss=True))
