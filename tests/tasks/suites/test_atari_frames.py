"""ale-py's threads and gymnasium's wrappers give the same frames, rewards and ends."""

import msgspec
import numpy as np
import pytest

from tfdqn.config import Task
from tfdqn.tasks.registry import make_task
from tfdqn.tasks.suites import atari


def both(game, num_envs, **keys):
    keys = {"frame_stack": 4, "end_on_life_loss": True, **keys}
    return [make_task(Task(id=game, num_envs=num_envs, vectorization=each, **keys)) for each in ("own", "sync")]


@pytest.mark.parametrize(
    ("game", "steps", "keys"),
    [
        ("ALE/Breakout-v5", 400, {}),
        ("ALE/Pong-v5", 100, {"max_episode_steps": 90}),
        ("ALE/Seaquest-v5", 100, {"frame_stack": 1}),
        ("ALE/MsPacman-v5", 100, {"kwargs": {"img_height": 40, "img_width": 44, "frameskip": 3}}),
        ("ALE/SpaceInvaders-v5", 100, {"kwargs": {"full_action_space": True}}),
    ],
)
def test_both_give_the_same_where_no_action_sticks(game, steps, keys):
    """Their seeds reach the emulator by different ways, so that what is random in it differs: see the next test."""
    keys["kwargs"] = {"repeat_action_probability": 0.0, **keys.get("kwargs", {})}
    own, wrapped = tasks = both(game, 2, **keys)
    assert own.spec == wrapped.spec
    assert own.is_own_vector_version and not wrapped.is_own_vector_version
    first, second = (task.reset(1)[0]["observation"] for task in tasks)
    assert first.shape == (2, *own.spec.observation["observation"].shape)
    np.testing.assert_array_equal(first, second)
    rng = np.random.default_rng(0)
    resets = 0
    for _ in range(steps):
        actions = rng.integers(0, own.spec.num_actions[0], 2).astype(np.int32)
        one, other = (task.step(actions) for task in tasks)
        np.testing.assert_array_equal(one.observation["observation"], other.observation["observation"])
        for field in ("score", "terminated", "truncated", "is_reset", "ended", "is_life_lost"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)
        resets += one.is_reset.sum()
    assert resets or game not in ("ALE/Breakout-v5", "ALE/Pong-v5")


def test_both_give_the_same_where_actions_stick():
    """With one seed in the emulator, over the ends of games: which action sticks is drawn alike."""
    settings = atari.Settings(num_threads=1)
    many = atari.make_vector(Task(id="ALE/Breakout-v5", num_envs=1), settings)
    of_one = {name: value for name, value in msgspec.structs.asdict(settings).items() if name != "num_threads"}
    one = atari.make_single("breakout", max_num_frames_per_episode=108_000, **of_one)
    many.env.reset(seed=np.array([7]))
    ale = one.unwrapped.ale
    ale.setInt("random_seed", 7)
    one.unwrapped.load_game()
    one.reset()
    rng = np.random.default_rng(0)
    is_over, games = False, 0
    for _ in range(600):
        action = int(rng.integers(0, 4))
        frame, reward, terminated, _, _ = many.step(np.array([action], np.int32))
        if is_over:
            seen, is_over = one.reset()[0], False
        else:
            seen, single_reward, is_over, _, _ = one.step(action)
            assert (single_reward, is_over) == (reward[0], terminated[0])
            games += is_over
        np.testing.assert_array_equal(frame[0], seen)
    assert games >= 2
    many.close()
    one.close()


def frames_of(task, steps=60):
    task.reset(3)
    actions = np.random.default_rng(0).integers(0, 6, (steps, task.num_envs)).astype(np.int32)
    return [task.step(each).observation["observation"] for each in actions]


def test_games_of_one_batch_differ_and_a_seed_repeats_them():
    task = Task(id="ALE/Pong-v5", num_envs=2, frame_stack=2)
    first, again = frames_of(make_task(task)), frames_of(make_task(task))
    np.testing.assert_array_equal(first, again)
    same_actions = make_task(task)
    same_actions.reset(4)
    apart = [same_actions.step(np.full(2, t % 6, np.int32)).observation["observation"] for t in range(60)]
    assert any((each[0] != each[1]).any() for each in apart)  # other actions stick


def test_no_ops_begin_a_game_at_different_frames():
    """Nothing else is random here: without them all games are the same."""
    for noop_max in (0, 30):
        kwargs = {"noop_max": noop_max, "repeat_action_probability": 0.0}
        task = make_task(Task(id="ALE/Pong-v5", num_envs=4, frame_stack=2, kwargs=kwargs))
        task.reset(0)
        for _ in range(30):
            stacks = task.step(np.zeros(4, np.int32)).observation["observation"]
        assert (len({stack.tobytes() for stack in stacks}) > 1) == (noop_max > 0)


def test_the_picture_of_a_video_is_the_games_own():
    task = make_task(Task(id="ALE/Pong-v5", frame_stack=4), render_mode="rgb_array")
    task.reset(0)
    picture = task.render()
    assert picture.shape == (210, 160, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) >= 3  # field, border, paddles
    task.close()
