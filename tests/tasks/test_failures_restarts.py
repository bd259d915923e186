"""An environment that fails ends the run in one line, or is made anew, and its broken episode leaves nothing wrong."""

import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from tfdqn.acting.policy import Policy
from tfdqn.config import Task
from tfdqn.errors import EnvironmentFailedError
from tfdqn.evaluation.evaluator import play_episodes
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.episode_statistics import EpisodeStatistics
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.registry import make_task
from tfdqn.tasks.suites.processes import Processes
from tfdqn.types import Experience, Step

FAILS = "tests.support.toy_environments:Fails-v0"
GONE = "RuntimeError: the simulator is gone"


def failing(
    restarts: Restarts | None = None, vectorization: str = "sync", num_envs: int = 2, **kwargs: Any
) -> BatchedTask:
    return make_task(
        Task(id=FAILS, num_envs=num_envs, kwargs=kwargs, vectorization=vectorization),  # type: ignore[arg-type]
        restarts=restarts,
    )


def steps(task: BatchedTask, count: int) -> list[Step]:
    return [task.step(np.zeros(task.num_envs, np.int32)) for _ in range(count)]


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", GONE),
        ("asserts", "AssertionError: joint limits violated"),
        ("says nothing", "RuntimeError"),
        ("at its end of file", "EOFError: the socket is closed"),
        ("exits", "SystemExit: 3"),
        ("oddly", "TwoArgumentsError: 7: robot lost"),
        ("reset", "RuntimeError: no new episode"),
    ],
)
def test_a_failure_is_one_line_with_the_step_the_place_and_what_the_task_said(
    how: str, said: str, vectorization: str
) -> None:
    # Episodes of four steps: the fifth carries a reset, so that the fifth in the environment is the sixth here.
    ends_at = 4 if how == "reset" else 0
    task = failing(vectorization=vectorization, how=how, at=4 if how == "reset" else 5, ends_at=ends_at)
    task.reset(seed=0)
    steps(task, 4)
    with pytest.raises(EnvironmentFailedError) as caught:
        steps(task, 1)
    place = rf"Fails\._fail failed at /\S*/tests/support/odd_environments\.py:\d+: {said}"
    assert re.fullmatch(f"{FAILS}, environment 0, step 5: {place}", str(caught.value))
    assert "tests/support/odd_environments.py" in caught.value.traceback and "_fail" in caught.value.traceback
    task.close()
    if isinstance(task._envs, Processes):
        assert not any(process.is_alive() for process in task._envs.processes)


def test_a_failure_of_the_first_reset_is_one_too(tmp_path: Path) -> None:
    task = failing(how="reset", at=0)
    with pytest.raises(EnvironmentFailedError, match=r"Fails-v0, environment 0, reset: .*: RuntimeError: no new"):
        task.reset(seed=0)
    restarts = Restarts(1, say=lambda line: None)
    once = failing(restarts, how="reset", at=0, once=str(tmp_path / "once"))
    observation, _ = once.reset(seed=0)
    assert (observation["observation"] == 0).all() and restarts.count == 1


def test_an_environment_is_made_anew_as_often_as_is_allowed_and_each_time_it_is_said() -> None:
    said: list[str] = []
    kept: list[str] = []
    task = failing(Restarts(3, said.append, kept.append), at=5, ends_at=0)
    task.reset(seed=0)
    with pytest.raises(EnvironmentFailedError):
        steps(task, 100)
    # Two fail together at the fifth step, and again together when each has begun anew.
    assert [re.sub(r"Fails\._fail failed at \S*:\d+: ", "", line) for line in said] == [
        f"warning: {FAILS}, environment {environment}, step {step}: {GONE}: "
        f"the environment is restarted ({count} of task.restarts = 3)"
        for count, (step, environment) in enumerate([(5, 0), (5, 1), (11, 0)], start=1)
    ]
    assert all("Traceback" in each for each in kept)
    assert task.state() is None


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(("vectorization", "num_envs"), [("sync", 2), ("async", 1)])
def test_a_broken_episode_leaves_no_wrong_transition(tmp_path: Path, n: int, vectorization: str, num_envs: int) -> None:
    """The environments count their steps, reward 1 each: so every transition is known by where it begins.

    Environment 0 breaks at its seventh step, the third of its second episode; what it made of that episode before
    is kept as far as it was finished, its last n - 1 windows are not closed by an observation that is another's.
    """
    restarts = Restarts(1, say=lambda line: None)
    task = failing(restarts, vectorization, num_envs, at=7, once=str(tmp_path / "once"))
    rows: list[np.ndarray] = []
    codec = TransitionCodec(task.spec)
    writer = NStepWriter(codec, num_envs, Horizon(n, 0.5), lambda new: rows.append(new.copy()))
    statistics = EpisodeStatistics(num_envs)
    task.reset(seed=0)
    with_resets = 0
    for _ in range(30):
        before, actions = task.observation, np.zeros(num_envs, np.int32)
        step = task.step(actions)
        writer.write(Experience(before, None, actions, step))
        statistics.add(step)
        with_resets += int(step.is_reset[0])
    task.close()
    assert restarts.count == 1
    found = codec.from_bytes(np.concatenate(rows))
    start, end = found["observation/observation"][:, 0], found["next_observation/observation"][:, 0]
    k = np.minimum(n, 4 - start)
    np.testing.assert_array_equal(end, start + k)
    np.testing.assert_allclose(found["reward"], 2 - 0.5 ** (k - 1))  # 1 + 1/2 + 1/4 …
    np.testing.assert_allclose(found["discount"], np.where(end == 4, 0, 0.5**k))
    # Of an unbroken environment every episode is as long as the other, in thirty steps six with their resets.
    assert statistics.recent_length == 4 and statistics.recent_return == 4
    # Its two steps of the broken episode are 3 - n transitions; the reset at 5, the break at 8, what follows it at 9.
    assert len(found) == 24 * (num_envs - 1) + 4 + max(3 - n, 0) + finished_after(30 - 9, n)
    assert with_resets == 1 + 2 + (30 - 9) // 5


def finished_after(count: int, n: int) -> int:
    """Transitions that so many steps of an environment finish that has just begun, its episodes four steps long."""
    whole, left = divmod(count, 5)
    return 4 * whole + (4 if left == 4 else max(left - n + 1, 0))


def test_an_evaluation_plays_a_broken_episode_again(tmp_path: Path) -> None:
    restarts = Restarts(1, say=lambda line: None)
    task = failing(restarts, at=7, once=str(tmp_path / "once"))
    policy = Policy(lambda weights, observation, *_: np.zeros((len(observation["observation"]), 2), np.float32))
    returns, lengths = play_episodes(task, policy, {}, 6, seed=1)
    assert list(returns) == [4.0] * 6 and list(lengths) == [4] * 6 and restarts.count == 1


def test_a_process_that_ends_takes_the_episodes_of_its_batch_along(tmp_path: Path) -> None:
    said: list[str] = []
    task = failing(Restarts(1, said.append), "async", how="ends its process", at=3, once=str(tmp_path / "once"))
    with closing(task):
        task.reset(seed=0)
        steps(task, 2)
        (step,) = steps(task, 1)
        assert step.is_reset.all() and not (step.terminated | step.truncated).any()
        assert (step.observation["observation"] == 0).all()
        # Which of the two was the first to make the file is not known.
        assert said[0].startswith(f"warning: {FAILS}, step 3: environment ")
        assert "'s process has ended with status 11, without raising an exception" in said[0]
        (step,) = steps(task, 1)
        assert not step.is_reset.any() and (step.observation["observation"] == 1).all()
        task._envs.processes[0].kill()  # type: ignore[attr-defined]
        ended = r"environment 0's process was killed by signal 9 \(SIGKILL\), without raising an exception$"
        with pytest.raises(EnvironmentFailedError, match=ended) as caught:
            steps(task, 2)
        assert caught.value.traceback == ""  # so that nobody is sent to look for one


def test_a_vector_version_of_a_tasks_own_is_made_anew_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    task = make_task(Task(num_envs=3), restarts=Restarts(1, said.append))
    task.reset(seed=0)
    steps(task, 1)
    assert task.state() is not None

    def fail(self: Any, actions: Any) -> None:
        raise ValueError("no gravity")

    with monkeypatch.context() as broken:
        broken.setattr(CartPoleVectorEnv, "step", fail)
        (step,) = steps(task, 1)
    assert step.is_reset.all() and ": ValueError: no gravity: the environment is" in said[0]
    assert re.match(r"warning: CartPole-v1, step 2: \S*fail failed at \S*/test_failures_restarts\.py:\d+: ", said[0])
    steps(task, 3)
    assert task.state() is not None
    monkeypatch.setattr(CartPoleVectorEnv, "step", fail)
    with pytest.raises(EnvironmentFailedError, match=r"CartPole-v1, step 6: .*: ValueError: no gravity"):
        steps(task, 1)
    assert task.state() is None  # what a broken one keeps is no state to go on from


def test_the_first_episode_of_one_made_anew_is_another_than_it_failed_in(tmp_path: Path) -> None:
    """By a seed of its own, so that a failure which the seed brings about does not come again and again."""
    seeds = []
    for life in range(2):
        task = failing(Restarts(1, say=lambda line: None), at=2, once=str(tmp_path / f"once-{life}"))
        task.reset(seed=7)
        before = task._envs.envs[0].unwrapped.np_random.bit_generator.state  # type: ignore[attr-defined]
        steps(task, 3)
        after = task._envs.envs[0].unwrapped.np_random.bit_generator.state  # type: ignore[attr-defined]
        assert before != after
        seeds.append(after)
    assert seeds[0] == seeds[1]  # of the same seed the same
