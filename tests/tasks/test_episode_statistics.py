"""Statistics of the episodes that finish while acting."""

import numpy as np
import pytest

from tfdqn.tasks.episode_statistics import RECENT_EPISODES, EpisodeStatistics
from tfdqn.types import Step


def step(
    reward: list[float],
    terminated: list[bool] | None = None,
    truncated: list[bool] | None = None,
    is_reset: list[bool] | None = None,
) -> Step:
    no = [False] * len(reward)
    return Step(
        observation={},
        reward=np.array(reward, np.float32),
        terminated=np.array(terminated or no),
        truncated=np.array(truncated or no),
        is_reset=np.array(is_reset or no),
        legal_actions=None,
    )


def test_an_episode_counts_when_it_terminates_or_is_truncated() -> None:
    statistics = EpisodeStatistics(2)
    statistics.add(step([1, 10]))
    assert (statistics.episodes, statistics.recent_return, statistics.recent_length) == (0, None, None)
    statistics.add(step([2, 20], terminated=[True, False]))  # environment 0: 3 in two steps
    assert (statistics.episodes, statistics.recent_return, statistics.recent_length) == (1, 3.0, 2.0)
    statistics.add(step([0, 30], truncated=[False, True], is_reset=[True, False]))  # 1: 60 in three
    assert (statistics.episodes, statistics.recent_return, statistics.recent_length) == (2, 31.5, 2.5)
    statistics.add(step([5, 0], terminated=[True, False], is_reset=[False, True]))  # 0: 5 in one: resets don't
    assert (statistics.episodes, statistics.recent_length) == (3, 2.0)


def test_the_reward_of_a_reset_is_in_no_return() -> None:
    statistics = EpisodeStatistics(1)
    statistics.add(step([3], terminated=[True]))
    statistics.add(step([3], is_reset=[True]))  # as a vectorised version of the task's own may repeat it
    finished = statistics.add(step([4], truncated=[True]))
    assert finished is not None and (finished.returns.tolist(), finished.lengths.tolist()) == ([4.0], [1])


def test_a_step_says_which_episodes_it_finished() -> None:
    statistics = EpisodeStatistics(3)
    assert statistics.add(step([1, 2, 3])) is None
    finished = statistics.add(step([1, 2, 3], terminated=[True, False, False], truncated=[False, False, True]))
    assert finished is not None
    assert [each.tolist() for each in finished] == [[0, 2], [2.0, 6.0], [2, 2]]


def test_recent_means_are_over_the_last_window() -> None:
    statistics = EpisodeStatistics(1)
    for reward in (100, *[1] * (RECENT_EPISODES - 1), 2):
        statistics.add(step([reward], terminated=[True]))
    assert (statistics.episodes, statistics.recent_return) == (101, 1.01)


def test_statistics_go_on_from_their_state() -> None:
    first, second = EpisodeStatistics(2), EpisodeStatistics(2)
    first.add(step([1, 2], terminated=[True, False]))
    second.load_state(first.state())
    for each in (first, second):
        each.add(step([1, 2], terminated=[True, True]))
    assert second.episodes == first.episodes == 3
    assert second.recent_return == first.recent_return == pytest.approx(2.0)  # 1, 1 and 4
    assert second.recent_length == first.recent_length


def test_the_state_is_a_copy() -> None:
    statistics = EpisodeStatistics(1)
    state = statistics.state()
    statistics.add(step([7]))
    assert state["running_return"] == [0]


def test_dropping_unfinished_episodes_keeps_the_finished() -> None:
    statistics = EpisodeStatistics(1)
    statistics.add(step([4], terminated=[True]))
    statistics.add(step([100]))
    statistics.drop_unfinished()
    statistics.add(step([6], terminated=[True]))
    assert (statistics.episodes, statistics.recent_return, statistics.recent_length) == (2, 5.0, 1.0)
