"""Lost lives as ends to learn from: the game goes on, and is refused where it tells nothing of its lives."""

import numpy as np
import pytest

import tests.support.lives  # noqa: F401  (registers the tasks)
from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.adapters.restarts import Restarts
from tfdqn.tasks.registry import make_task


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
