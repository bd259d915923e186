"""What is learned from and what is scored, where a task's rewards are clipped and its lives are ends."""

import numpy as np
import pytest

from tests.support.batches import vector_spec
from tests.support.lives import REWARDS
from tfdqn.acting.episode_statistics import EpisodeStatistics
from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.replay.transition_codec import TransitionCodec
from tfdqn.tasks.adapters.restarts import Restarts
from tfdqn.tasks.registry import make_task
from tfdqn.types import Experience


def played(task, steps):
    task.reset(0)
    return [task.step(np.zeros(task.num_envs, np.int32)) for _ in range(steps)]


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


def test_rewards_are_clipped_to_learn_from_and_scored_as_they_are():
    task = make_task(Task(id="ThreeLives-v0", num_envs=1, reward_clip=1.0))
    steps = played(task, 12)
    np.testing.assert_array_equal([step.reward[0] for step in steps], np.clip(REWARDS, -1, 1))
    np.testing.assert_array_equal([step.score[0] for step in steps], REWARDS)
    assert not any(step.is_life_lost is not None for step in steps)


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
    with pytest.raises(TaskError, match="tells of no lives"):
        make_task(Task(id="CartPole-v1", num_envs=1, vectorization="own", end_on_life_loss=True))
