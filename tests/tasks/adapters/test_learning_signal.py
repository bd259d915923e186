"""What is learned from beside what is scored: changed rewards, lives as ends, in replay and in statistics."""

import numpy as np

from tests.support.batches import vector_spec
from tests.support.lives import REWARDS
from tfdqn.acting.episode_statistics import EpisodeStatistics
from tfdqn.config import Task
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.tasks.adapters.learning_signal import learning_signal
from tfdqn.tasks.registry import make_task
from tfdqn.types import Experience


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


def test_where_a_task_is_learned_from_as_it_is_there_is_no_signal():
    assert learning_signal(Task()) is None


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
