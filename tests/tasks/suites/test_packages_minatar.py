"""MinAtar's games: what a task gives is what the package's own environment gives, played alone."""

import logging

import numpy as np
import pytest
from minatar import Environment

from tfdqn.config import Task
from tfdqn.tasks.registry import installed_tasks, make_task, resolve_spec

GAMES = {"asterix": 4, "breakout": 4, "freeway": 7, "seaquest": 10, "space_invaders": 6}  # channels


@pytest.mark.parametrize("game", GAMES)
def test_a_task_gives_the_packages_own_boards_rewards_and_ends(game):
    task = make_task(Task(id=f"MinAtar/{game.title().replace('_', '')}-v0", num_envs=2))
    assert task.spec.num_actions == (6,)
    assert task.spec.observation["observation"].shape == (10, 10, GAMES[game])
    seeds = [int(word) >> 1 for word in np.random.SeedSequence(3).generate_state(2)]
    alone = [Environment(game) for _ in seeds]
    for env, seed in zip(alone, seeds, strict=True):
        env.seed(seed)
        env.reset()
    boards = task.reset(3)[0]["observation"]
    rng = np.random.default_rng(0)
    is_over, ends, rewards = [False, False], 0, 0.0
    for _ in range(1500):
        np.testing.assert_array_equal(boards, [env.state() for env in alone])
        actions = rng.integers(0, 6, 2).astype(np.int32)
        step = task.step(actions)
        boards = step.observation["observation"]
        for index, env in enumerate(alone):
            assert step.is_reset[index] == is_over[index]
            if is_over[index]:
                env.reset()
                is_over[index] = False
                continue
            reward, is_over[index] = env.act(actions[index])
            assert (step.reward[index], step.terminated[index]) == (reward, is_over[index])
            rewards += reward
        ends += sum(is_over)
    assert ends or game == "freeway"  # which ends after 2,500 frames
    assert rewards or game == "freeway"  # where random actions seldom cross the road
    task.close()


def test_the_fewest_actions_are_those_of_version_1():
    assert resolve_spec(Task(id="MinAtar/Breakout-v1")).num_actions == (3,)
    assert resolve_spec(Task(id="MinAtar/Freeway-v1")).num_actions == (3,)


def test_sticky_actions_and_ramping_are_keywords_of_the_task():
    task = make_task(Task(id="MinAtar/Breakout-v0", num_envs=1, kwargs={"sticky_action_prob": 1.0}))
    start = task.reset(0)[0]["observation"]
    for _ in range(3):
        board = task.step(np.array([1], np.int32)).observation["observation"]
    np.testing.assert_array_equal(board[..., 0], start[..., 0])  # its paddle repeats 'no action' for ever
    assert resolve_spec(Task(id="MinAtar/Asterix-v0", kwargs={"difficulty_ramping": False}))


def test_all_six_actions_are_no_outdated_version(caplog):
    with caplog.at_level(logging.WARNING):
        make_task(Task(id="MinAtar/Breakout-v0", num_envs=1)).close()
    assert not caplog.records
    entries = {entry.id: entry for entry in installed_tasks()}
    assert not (entries["MinAtar/Seaquest-v0"].reason or entries["MinAtar/Seaquest-v1"].reason)


def test_a_board_is_drawn_in_colours():
    task = make_task(Task(id="MinAtar/Breakout-v0"), render_mode="rgb_array")
    task.reset(0)
    picture = task.render()
    assert picture.shape == (10, 10, 3) and picture.dtype == np.uint8
    bricks, floor = picture[1:4].reshape(-1, 3), picture[6]
    assert (bricks == bricks[0]).all() and bricks[0].max() > 50 and (floor == 0).all()
    task.close()
