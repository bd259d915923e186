"""EnvPool's environments through `BatchedTask`: rows, seeds, frames, and the same steps as gymnasium's own."""

import gymnasium
import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.randomness import seeds_of_environments
from tfdqn.tasks.registry import make_task
from tfdqn.tasks.suites.envpool_envs import make_pool

pytestmark = pytest.mark.tasks


def made(task_id, num_envs=4, **keys):
    return make_task(Task(id=task_id, suite="envpool", num_envs=num_envs, **keys))


def observed(task):
    return task.observation["observation"]


def rollout(task, seed, steps, rng_seed=0):
    """[steps + 1, E, …] observations, and the steps, by random actions."""
    rng = np.random.default_rng(rng_seed)
    first, _ = task.reset(seed)
    seen, taken = [first["observation"]], []
    for _ in range(steps):
        taken.append(task.step(rng.integers(task.spec.num_actions[0], size=task.num_envs).astype(np.int32)))
        seen.append(taken[-1].observation["observation"])
    return np.array(seen), taken


def test_the_row_after_an_end_only_carries_the_reset():
    seen, taken = rollout(made("CartPole-v1", 8), seed=3, steps=400)
    ended = np.array([step.ended for step in taken])
    is_reset = np.array([step.is_reset for step in taken])
    reward = np.array([step.reward for step in taken])
    assert ended.sum() > 80
    assert (is_reset[1:] == ended[:-1]).all() and not is_reset[0].any()
    assert (reward[is_reset] == 0).all() and (reward[~is_reset] == 1).all()
    # An episode begins within 0.05 of zero (gymnasium's CartPoleEnv.reset), and never ends there.
    assert (np.abs(seen[1:][is_reset]) <= 0.05).all()
    assert (np.abs(seen[1:][ended]).max(axis=1) > 0.2).all()


@pytest.mark.parametrize(("task_id", "tolerance"), [("CartPole-v1", 1e-5), ("MountainCar-v0", 1e-6)])
def test_a_step_is_that_of_gymnasiums_own_task_from_the_same_state(task_id, tolerance):
    seen, taken = rollout(made(task_id, 8), seed=1, steps=300)
    rng, own = np.random.default_rng(0), gymnasium.make(task_id).unwrapped
    own.reset(seed=0)
    compared = 0
    for before, step in zip(seen, taken, strict=False):
        actions = rng.integers(own.action_space.n, size=8)
        for index in np.flatnonzero(~step.is_reset):
            own.state, own.steps_beyond_terminated = tuple(before[index].astype(float)), None
            observation, reward, terminated, *_ = own.step(int(actions[index]))
            np.testing.assert_allclose(step.observation["observation"][index], observation, atol=tolerance)
            assert (step.reward[index], step.terminated[index]) == (reward, terminated)
            compared += 1
    assert compared > 2000


def test_the_same_seed_repeats_everything_and_a_neighbouring_one_shares_nothing():
    task = made("CartPole-v1")
    one, _ = rollout(task, seed=7, steps=60)
    again, _ = rollout(task, seed=7, steps=60)
    other, _ = rollout(made("CartPole-v1"), seed=7, steps=60)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(one, other)
    firsts = np.concatenate([one[0], rollout(task, seed=8, steps=0)[0][0], rollout(task, seed=9, steps=0)[0][0]])
    assert len(np.unique(firsts, axis=0)) == 12


def test_a_row_is_that_of_its_environment_however_many_threads_step_them():
    many, _ = rollout(made("Acrobot-v1", 6, kwargs={"num_threads": 3}), seed=5, steps=100)
    one_thread, _ = rollout(made("Acrobot-v1", 6, kwargs={"num_threads": 1}), seed=5, steps=100)
    np.testing.assert_array_equal(many, one_thread)
    rng = np.random.default_rng(0)
    actions = np.array([rng.integers(3, size=6) for _ in range(100)])
    for index, seed in enumerate(seeds_of_environments(5, 6)):  # each of them alone, with the actions that it had
        alone = make_pool("Acrobot-v1", {}, 1, [seed])
        np.testing.assert_array_equal(alone.reset()[0][0], many[0, index])
        for step in range(100):
            np.testing.assert_array_equal(alone.step(actions[step, index : index + 1])[0][0], many[step + 1, index])


def test_the_limit_of_an_episode_truncates_it():
    task = made("MountainCar-v0", 3, max_episode_steps=20)
    assert task.spec.max_episode_steps == 20
    _, taken = rollout(task, seed=1, steps=41)
    truncated = np.array([step.truncated.all() for step in taken])
    assert np.flatnonzero(truncated).tolist() == [19, 40]  # one row between them carries the reset
    assert not any(step.terminated.any() for step in taken)


def test_an_end_in_the_very_step_of_the_limit_is_taken_for_a_cut():
    """EnvPool gives but one of the two, where gymnasium's wrapper gives both: a difference that the page states."""
    task = made("CartPole-v1", 16, max_episode_steps=10)
    task.reset(0)
    for _ in range(9):
        step = task.step(np.ones(16, np.int32))
    is_over = step.terminated | step.truncated | step.is_reset
    step = task.step(np.ones(16, np.int32))
    late = ~is_over & (np.abs(observed(task)[:, 2]) > 0.2095)  # it has fallen in the tenth step
    assert late.any() and step.truncated[late].all() and not step.terminated[late].any()


def test_games_stack_their_frames_and_one_frame_has_no_axis_for_it():
    stacked, _ = rollout(made("Pong-v5", 2, frame_stack=4), seed=2, steps=40)
    single, _ = rollout(made("Pong-v5", 2), seed=2, steps=40)
    assert stacked.shape == (41, 2, 4, 84, 84) and single.shape == (41, 2, 84, 84)
    np.testing.assert_array_equal(stacked[:, :, 3], single)
    np.testing.assert_array_equal(stacked[4:, :, 0], single[1:-3])
    assert (single[10] != single[30]).any()


def test_colours_are_the_last_axis_as_convolutions_read_them():
    task = made("Basic-v1", 2, action_bins=2, action_form="branches")
    assert task.spec.observation["observation"].shape == (84, 84, 3)
    task.reset(3)
    own = make_pool("Basic-v1", {}, 1, seeds_of_environments(3, 2)).reset()[0]
    assert own.shape == (2, 3, 84, 84)
    for channel in range(3):
        np.testing.assert_array_equal(observed(task)[..., channel], own[:, channel])


def test_a_lost_life_is_an_end_for_learning_alone():
    _, taken = rollout(made("Breakout-v5", 4, end_on_life_loss=True), seed=2, steps=400)
    lost = np.array([step.is_life_lost for step in taken])
    assert lost.sum() > 10 and sum(step.ended.sum() for step in taken) >= 2
    assert not np.array([step.ended for step in taken])[lost].any()


def test_dicts_and_nested_ones_are_observed():
    task = made("Jumanji/Maze-v0", 3)
    first, _ = task.reset(1)
    assert {"agent_position_row", "agent_position_col", "walls", "action_mask"} < set(first)
    step = task.step(np.zeros(3, np.int32))
    assert {name: array.shape[1:] for name, array in step.observation.items()} == {
        name: spec.shape for name, spec in task.spec.observation.items()
    }


def test_masks_that_are_observed_are_legal_actions_and_not_observed():
    task = made("Jumanji/Snake-v1", 3, action_masks=True)
    observation, legal = task.reset(1)
    assert set(observation) == {"grid", "step_count"} and legal.shape == (3, 4) and legal.any(axis=1).all()
    rng, masks, lengths = np.random.default_rng(0), [], 0
    for _ in range(60):
        step = task.step(np.array([rng.choice(np.flatnonzero(row)) for row in legal], np.int32))
        legal, lengths = step.legal_actions, lengths + (~step.terminated).sum()
        masks.append(legal)
    assert not np.array(masks).all() and np.array(masks).any(axis=2).all()


def test_masks_of_branches_are_legal_actions():
    keys = {"action_bins": 4, "action_form": "branches", "action_masks": True}
    task = made("Jumanji/Cleaner-v0", 2, **keys)  # three cleaners, each of which goes one of four ways
    assert task.spec.num_actions == (4, 4, 4) and "action_mask" not in task.spec.observation
    _, legal = task.reset(1)
    own = make_pool("Jumanji/Cleaner-v0", {}, 1, seeds_of_environments(1, 2)).reset()[0]["action_mask"]
    np.testing.assert_array_equal(legal, own.astype(bool))
    assert legal.shape == (2, 3, 4) and legal.any() and not legal.all()
    assert task.step(legal.argmax(axis=2).astype(np.int32)).legal_actions.shape == (2, 3, 4)


def test_a_grid_of_continuous_actions_is_played():
    task = made("Pendulum-v1", 5, action_bins=5)
    assert task.spec.num_actions == (5,)
    task.reset(1)
    for _ in range(3):
        before = observed(task)
        task.step(np.arange(5, dtype=np.int32))
    # Of gymnasium's pendulum, theta_dot' = theta_dot + (3 g / (2 l) sin(theta) + 3 u / (m l^2)) dt, within ±8.
    torque = np.linspace(-2, 2, 5)
    expected = before[:, 2] + (15 * before[:, 1] + 3 * torque) * 0.05
    np.testing.assert_allclose(observed(task)[:, 2], np.clip(expected, -8, 8), atol=1e-4)


def test_a_goal_env_of_robotics_is_a_dict():
    task = made("FetchReach-v4", 2, action_bins=3, action_form="branches")
    assert set(task.spec.observation) == {"observation", "achieved_goal", "desired_goal"}
    assert task.spec.num_actions == (3, 3, 3, 3)
    first, _ = task.reset(0)
    step = task.step(np.full((2, 4), 2, np.int32))
    assert (step.observation["achieved_goal"] != first["achieved_goal"]).all()
    np.testing.assert_array_equal(step.observation["desired_goal"], first["desired_goal"])


def test_bounds_that_mean_none_are_none():
    assert made("LunarLander-v3").spec.observation["observation"].bounds == ((None, None),)


def test_what_it_draws_is_environment_0():
    task = make_task(Task(id="CartPole-v1", suite="envpool", vectorization="async"), render_mode="rgb_array")
    task.reset(0)
    before = task.render()
    for _ in range(5):
        task.step(np.ones(1, np.int32))
    assert before.shape == (400, 600, 3) and before.dtype == np.uint8 and (task.render() != before).any()


def test_it_gives_no_state():
    task = made("CartPole-v1")
    task.reset(0)
    assert task.state() is None
