"""One member of an ensemble acts for a whole episode, whatever the others think; the next is drawn anew."""

from typing import Any, cast

import numpy as np
import pytest

from tests.support.batches import random_weights, vector_spec
from tests.support.scripted_task import FakeTask, StatefulFakeTask
from tfdqn.acting.actor import Actor
from tfdqn.acting.exploration import Explorer
from tfdqn.acting.factory import make_policy
from tfdqn.acting.stateful_policies import MemberPolicy
from tfdqn.config import MLP, Config, Ensemble, EpsilonGreedy, NatureCNN, Network
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.errors import NotFiniteError
from tfdqn.networks.factory import network_to_load
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.types import Experience

MEMBERS = 5
GREEDY = EpsilonGreedy(start=0, end=0)


def q_of_members(weights: Any, observation: Any, rng: Any = None) -> np.ndarray:
    """Q [K, B, A] of K = A members: member k has k + 1 for action k and 0 for all others."""
    batch = len(next(iter(observation.values())))
    return np.tile(np.diag(np.arange(1, MEMBERS + 1, dtype=np.float32))[:, np.newaxis], (1, batch, 1))


def member_policy(num_envs: int, settings: EpsilonGreedy = GREEDY) -> MemberPolicy:
    return MemberPolicy(q_of_members, Ensemble(size=MEMBERS, acting="member"), Explorer(settings, num_envs))


class Writer:
    """Notes each step's actions and Q-values."""

    def __init__(self) -> None:
        self.actions: list[np.ndarray] = []
        self.q_values: list[np.ndarray] = []

    def write(self, experience: Experience) -> int:
        assert experience.q_values is not None
        self.actions.append(experience.action)
        self.q_values.append(experience.q_values)
        return 0


def played(task: FakeTask, steps: int) -> tuple[Actor, Writer]:
    board, writer = WeightsBoard(), Writer()
    board.put(VersionedWeights(0, {}))
    policy = member_policy(task.num_envs)
    actor = Actor(cast(BatchedTask, task), policy, board, cast(Any, writer), np.random.default_rng(1))
    actor.reset(0)
    for _ in range(steps):
        actor.step()
    return actor, writer


def test_a_member_acts_for_a_whole_episode_and_the_next_is_drawn_anew_and_uniformly() -> None:
    """Environment i's episodes last i + 1 steps, and one more that only carries the reset."""
    num_envs, steps = 4, 4000
    _, writer = played(FakeTask([[length + 1] for length in range(num_envs)]), steps)
    acted = np.array(writer.actions)
    for env in range(num_envs):
        period = env + 2
        episodes = acted[: steps - steps % period, env].reshape(-1, period)
        assert (episodes == episodes[:, :1]).all()
        drawn = np.bincount(episodes[:, 0], minlength=MEMBERS) / len(episodes)
        np.testing.assert_allclose(drawn, 1 / MEMBERS, atol=0.06)  # five deviations of a share of 1/5 of 800
        changes = (episodes[1:, 0] != episodes[:-1, 0]).mean()
        np.testing.assert_allclose(changes, 1 - 1 / MEMBERS, atol=0.07)
    assert len({tuple(row) for row in acted[:200]}) > 100  # no two environments are one


def test_what_it_acts_by_is_its_own_value() -> None:
    _, writer = played(FakeTask([[3], [5], [2]]), 40)
    for actions, q_values in zip(writer.actions, writer.q_values, strict=True):
        np.testing.assert_array_equal(q_values, np.diag(np.arange(1, MEMBERS + 1))[actions])


def test_it_goes_on_with_the_episode_that_was_saved() -> None:
    first, one = played(StatefulFakeTask([[9], [9], [9], [9]]), 4)
    second, two = played(StatefulFakeTask([[9], [9], [9], [9]]), 0)
    assert second.load_state({name: array.copy() for name, array in first.state().items()})
    for actor in (first, second):
        for _ in range(15):  # two ends
            actor.step()
    np.testing.assert_array_equal(one.actions[4:], two.actions)
    assert (np.array(one.actions[3]) == two.actions[0]).all()
    assert any((two.actions[0] != actions).any() for actions in two.actions)


def test_legal_actions_and_exploration_are_those_of_any_policy() -> None:
    observation, rng = {"observation": np.zeros((6, 1), np.float32)}, np.random.default_rng(2)
    state = (np.arange(1, 7) % MEMBERS + 1,)
    legal = np.ones((6, MEMBERS), bool)
    legal[np.arange(6), state[0] - 1] = False
    output = member_policy(6)({}, observation, legal, state, rng)
    np.testing.assert_array_equal(output.action, (state[0] == 1).astype(int))  # the first legal one of those with Q = 0
    np.testing.assert_array_equal(output.policy_state[0], state[0])
    thousands = {"observation": np.zeros((5000, 1), np.float32)}
    always = (np.full(5000, 3),)
    actions = member_policy(5000, EpsilonGreedy(start=0.5, end=0.5))({}, thousands, None, always, rng).action
    np.testing.assert_allclose(np.bincount(actions) / 5000, [0.1, 0.1, 0.6, 0.1, 0.1], atol=0.03)


def frames() -> TaskSpec:
    stack = ArraySpec(shape=(2, 36, 36), dtype="uint8", frame_stack=2)
    return TaskSpec(id="Image-v0", observation={"observation": stack}, actions=discrete(3))


@pytest.mark.parametrize(
    ("network", "spec"), [(MLP(hidden_units=(6,)), vector_spec()), (NatureCNN(dense_units=4), frames())], ids=str
)
def test_its_values_are_those_of_the_member_by_numpy_and_by_tensorflow(network: Network, spec: TaskSpec) -> None:
    rng = np.random.default_rng(3)
    config = Config(network=network, ensemble=Ensemble(size=3, acting="member"))
    members = network_to_load(config, spec)
    weights = random_weights(members.named_weights(), rng)
    members.load_named_weights(weights)
    array = spec.observation["observation"]
    observation = {"observation": (rng.random((4, *array.shape)) * 9).astype(array.dtype)}
    policy = make_policy(config, spec, GREEDY, num_envs=4)
    output = policy(weights, observation, None, (np.array([3, 1, 2, 3]),), rng)
    expected = members(observation)[0].numpy()[[2, 0, 1, 2], np.arange(4)]
    np.testing.assert_allclose(output.q_values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_another_member_whose_values_are_not_finite_is_an_error_too() -> None:
    def poisoned(weights: Any, observation: Any, rng: Any = None) -> np.ndarray:
        q_values = q_of_members(weights, observation)
        q_values[1, 0, 2] = np.nan
        return q_values

    policy = MemberPolicy(poisoned, Ensemble(size=MEMBERS, acting="member"), Explorer(GREEDY, 2))
    observation = {"observation": np.zeros((2, 1), np.float32)}
    with pytest.raises(NotFiniteError, match="Q of action 2 of environment 0 is nan"):
        policy({}, observation, None, (np.array([4, 4]),), np.random.default_rng(1))
