"""`Actor`: what it counts, what it hands to the writer, and what it keeps out of replay."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest
from gymnasium import spaces

from tests.support.scripted_task import FakeTask, StatefulFakeTask
from tfdqn.acting.actor import Actor
from tfdqn.acting.exploration import Explorer
from tfdqn.acting.policy import Policy, PolicyOutput
from tfdqn.config import EpsilonGreedy, Task
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.errors import NotFiniteError
from tfdqn.evaluation.evaluator import play_episodes
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.registry import make_task
from tfdqn.types import Experience, Observation


class Recorder:
    """A writer that keeps what it is given, and calls every row that is no reset a transition."""

    def __init__(self) -> None:
        self.written: list[Experience] = []

    def write(self, experience: Experience) -> int:
        self.written.append(experience)
        return int((~experience.step.is_reset).sum())

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        assert not arrays


def q_of_step(weights: Any, observation: Observation, legal_actions: np.ndarray | None, rng: Any) -> np.ndarray:
    """Prefers action 1 on odd steps of an episode; the weights shift both."""
    odd = observation["observation"][:, 1] % 2
    return np.stack([1 - odd, odd], axis=1).astype(np.float32) + weights["bias"]


class Remembers(Policy):
    """Counts the calls of each row, in two arrays of unlike rank."""

    def __call__(self, *args: Any, **kwargs: Any) -> PolicyOutput:
        output, policy_state = super().__call__(*args, **kwargs), args[3]
        calls, twice = policy_state or (np.zeros(len(output.action), np.int64), np.zeros((2, 3), np.float32))
        return output._replace(policy_state=(calls + 1, twice + 2))


def made(
    task: FakeTask | BatchedTask, settings: EpsilonGreedy | None = None, seed: int = 1, kind: type[Policy] = Policy
) -> tuple[Actor, Recorder, WeightsBoard]:
    board, writer = WeightsBoard(), Recorder()
    board.put(VersionedWeights(0, {"bias": np.zeros(2, np.float32)}))
    policy = kind(q_of_step, Explorer(settings, task.num_envs))
    rng = np.random.default_rng(seed)
    actor = Actor(cast(BatchedTask, task), policy, board, writer, rng)
    actor.reset(0)
    return actor, writer, board


def test_rows_that_only_carry_a_reset_are_not_counted() -> None:
    actor, _, _ = made(FakeTask([[2], [5]]))
    written = [actor.step() for _ in range(6)]
    # environment 0: two steps, a reset, two steps, a reset; environment 1: five steps, a reset
    assert written == [2, 2, 1, 2, 2, 0]
    assert actor.env_steps == sum(written)
    assert actor.statistics.episodes == 3
    assert actor.statistics.recent_return == pytest.approx(3.0)  # 2, 2 and 5
    assert actor.statistics.recent_length == pytest.approx(3.0)


def test_the_writer_gets_what_was_seen_what_was_done_and_what_came_of_it() -> None:
    task = FakeTask([[3], [4]])
    actor, writer, _ = made(task)
    for _ in range(5):
        actor.step()
    assert len(writer.written) == 5
    for before, now in zip(writer.written, writer.written[1:], strict=False):
        assert now.observation is before.step.observation
        assert now.legal_actions is None
        time, is_under_way = now.observation["observation"][:, 1], ~now.step.is_reset
        np.testing.assert_array_equal(now.action, time % 2)
        np.testing.assert_array_equal(now.q_values, np.eye(2, dtype=np.float32)[(time % 2).astype(int)])
        np.testing.assert_array_equal(now.step.observation["observation"][is_under_way, 1], time[is_under_way] + 1)
    np.testing.assert_array_equal(task.actions, [each.action for each in writer.written])


def test_only_legal_actions_are_taken_and_passed_on() -> None:
    task = FakeTask([[3], [4]], masks=True)
    actor, writer, _ = made(task, EpsilonGreedy(start=0.5, end=0.5))
    for _ in range(20):
        actor.step()
    assert (np.array(task.actions) == 1).all()
    for each in writer.written:
        assert each.legal_actions is not None
        np.testing.assert_array_equal(each.legal_actions, [[False, True]] * 2)


def test_new_weights_are_taken_up_at_the_next_step() -> None:
    task = FakeTask([[10]])
    actor, _, board = made(task)
    actor.step()
    board.put(VersionedWeights(7, {"bias": np.array([9, 0], np.float32)}))
    actor.step()  # an odd step: without the new weights it would be action 1
    assert actor.weights_version == 7
    assert task.actions[1] == [0]


def test_exploration_follows_the_environment_steps_taken() -> None:
    task = FakeTask([[1000]] * 50)
    actor, _, _ = made(task, EpsilonGreedy(start=1.0, end=1e-9, decay_env_steps=100))
    for _ in range(8):
        actor.step()
    greedy = np.arange(8) % 2
    wrong = (np.array(task.actions) != greedy[:, None]).mean(axis=1)
    assert wrong[0] > 0.2  # epsilon 1: half of them
    assert wrong[1] > 0.05  # 50 steps on: a quarter
    assert (wrong[2:] == 0).all()  # 100 steps on: none


def test_the_writer_is_told_the_environment_steps_of_all_actors() -> None:
    actor, writer, _ = made(FakeTask([[1000]] * 3))
    for env_steps in (None, None, 40):
        actor.step(env_steps)
    assert [each.env_steps for each in writer.written] == [0, 3, 40]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("where", ["reward", "observation"])
def test_what_breaks_the_tasks_contract_never_reaches_replay(where: str) -> None:
    spoilt = [np.array([0, np.nan]), 1.0] if where == "observation" else [np.zeros(2), np.nan]
    kwargs = {"space": spaces.Box(0, 1, (2,)), "observation": np.zeros(2, np.float32), "at": 4}
    kwargs["spoil"] = lambda *right: (*spoilt, *right[2:])
    actor, writer, _ = made(make_task(Task(id="tests.support.toy_environments:Odd-v0", num_envs=2, kwargs=kwargs)))
    for _ in range(3):
        actor.step()
    with pytest.raises(NotFiniteError, match=rf"environment 0, step 4: {where}(\[1\])? is nan"):
        actor.step()
    assert len(writer.written) == 3 and actor.env_steps == 6


def test_q_values_that_overflow_are_told_with_the_task_and_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    kwargs = {"space": spaces.Box(0, 1, (2,)), "observation": np.zeros(2, np.float32)}
    actor, _, _ = made(make_task(Task(id="tests.support.toy_environments:Odd-v0", num_envs=2, kwargs=kwargs)))
    actor.step()
    policy = Policy(lambda weights, observation, legal_actions, rng: np.array([[0.0, 1.0], [np.nan, 1.0]], np.float32))
    monkeypatch.setattr(actor, "_policy", policy)
    line = "Odd-v0, environment step 2: Q of action 0 of environment 1 is nan"
    with pytest.raises(NotFiniteError, match=line):
        actor.step()
    task = make_task(Task(id="tests.support.toy_environments:Odd-v0", num_envs=2, kwargs=kwargs))
    with pytest.raises(NotFiniteError, match="Odd-v0, evaluation: Q of action 0 of environment 1 is nan"):
        play_episodes(task, policy, {}, 2, seed=0)


def test_an_actor_goes_on_where_its_state_was_taken() -> None:
    settings = EpsilonGreedy(start=0.9, end=0.1, decay_env_steps=60)
    first, first_writer, _ = made(StatefulFakeTask([[4], [4]], masks=True), settings)
    for _ in range(7):
        first.step()
    state = {name: np.array(array) for name, array in first.state().items()}
    second, second_writer, _ = made(StatefulFakeTask([[4], [4]], masks=True), settings, seed=99)
    assert second.load_state(state)
    assert second.env_steps == first.env_steps
    for _ in range(9):
        assert first.step() == second.step()
    for one, two in zip(first_writer.written[7:], second_writer.written, strict=True):
        np.testing.assert_array_equal(one.observation["observation"], two.observation["observation"])
        np.testing.assert_array_equal(one.legal_actions, two.legal_actions)  # type: ignore[arg-type]
        np.testing.assert_array_equal(one.action, two.action)
    assert first.statistics.recent_return == second.statistics.recent_return


def test_a_task_without_state_starts_fresh_episodes_and_says_so() -> None:
    first, _, _ = made(FakeTask([[4], [4]]))
    for _ in range(6):
        first.step()
    state = {name: np.array(array) for name, array in first.state().items()}
    assert not any(name.startswith("task/") for name in state)
    second, _, _ = made(FakeTask([[4], [4]]))
    assert not second.load_state(state)
    assert (second.env_steps, second.statistics.episodes) == (first.env_steps, 2)
    for _ in range(4):
        second.step()
    assert second.statistics.recent_return == 4.0  # the half-played episodes were forgotten


def remembered(actor: Actor) -> list[np.ndarray]:
    return [array for name, array in actor.state().items() if name.startswith("policy_state/")]


def test_what_a_policy_remembers_ends_with_the_episode() -> None:
    """Environment 0's episodes last two steps; the row that carries the reset is seen, and forgotten, too."""
    actor, _, _ = made(StatefulFakeTask([[2], [9]]), kind=Remembers)
    assert remembered(actor) == []
    for expected in ([1, 1], [2, 2], [0, 3], [1, 4], [2, 5], [0, 6]):
        actor.step()
        calls, twice = remembered(actor)
        np.testing.assert_array_equal(calls, expected)
        np.testing.assert_array_equal(twice, 2 * np.array([expected] * 3).T)
        assert (calls.dtype, twice.dtype) == (np.int64, np.float32)
    actor.reset(0)
    assert remembered(actor) == []


def test_what_a_policy_remembers_is_saved() -> None:
    first, _, _ = made(StatefulFakeTask([[4], [4]]), kind=Remembers)
    for _ in range(3):
        first.step()
    second, _, _ = made(StatefulFakeTask([[4], [4]]), kind=Remembers)
    assert second.load_state(first.state())
    for actor in (first, second):
        actor.step()
    for one, two in zip(remembered(first), remembered(second), strict=True):
        np.testing.assert_array_equal(one, two)
    assert remembered(second)[0].tolist() == [4, 4]


def test_the_writer_gets_what_the_policy_remembered_when_it_chose() -> None:
    actor, writer, _ = made(StatefulFakeTask([[2], [9]]), kind=Remembers)
    for _ in range(4):
        actor.step()
    assert writer.written[0].policy_state == ()
    calls = [each.policy_state[0].tolist() for each in writer.written[1:]]
    assert calls == [[1, 1], [2, 2], [0, 3]]


def test_a_checkpoint_holds_the_observation_once() -> None:
    actor, _, _ = made(StatefulFakeTask([[4], [4]], masks=True))
    assert not any("observation" in name or "legal" in name for name in actor.state())
