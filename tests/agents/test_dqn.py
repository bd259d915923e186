"""`DqnAgent`: golden losses by hand, and agreement with TF-Agents' own agents."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.agents.dqn import dqn_agent
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory
from tf_agents.utils import common

from tests.support.batches import random_transitions, random_weights, transitions, vector_spec
from tfdqn.agents.dqn import DqnAgent
from tfdqn.config import DQN, MLP, Config, DoubleDQN, Linear
from tfdqn.networks.factory import q_network
from tfdqn.networks.q_network import observation_spec
from tfdqn.task_spec import TaskSpec

Kind = Literal["dqn", "double_dqn"]
KINDS = {"dqn": DQN, "double_dqn": DoubleDQN}
POISON = 1e6

# One-hot states and the linear network make θ a table of Q-values: rows are states, columns actions. States
# 0, 1, 2 are acted in, 3 and 4 follow. What a right loss never reads is poisoned.
ONLINE = np.array(
    [
        [1, POISON, POISON],
        [POISON, 2, POISON],
        [POISON, POISON, -1],
        [0, 9 * POISON, 1],  # argmax 1
        [9 * POISON, 3, 2],  # argmax 0
    ]
)
DQN_TARGET = np.array([[POISON] * 3, [POISON] * 3, [POISON] * 3, [4, -2, 1], [0.5, 2, 1]])  # max 4; max 2
DOUBLE_TARGET = np.array([[POISON] * 3, [POISON] * 3, [POISON] * 3, [POISON, 4, POISON], [2, POISON, POISON]])
ACTIONS = np.array([0, 1, 2])
REWARDS = np.array([0.5, -1.0, 3.0])
DISCOUNTS = np.array([0.5, 0.25, 0.0])  # the last one terminated
# Targets, of either kind: 0.5 + 0.5 · 4 = 2.5;  -1 + 0.25 · 2 = -0.5;  3 + 0 = 3
# TD errors:               2.5 - 1 = 1.5;        -0.5 - 2 = -2.5;        3 - (-1) = 4
TD_ERRORS = [1.5, -2.5, 4]


def one_hot(states: list[int]) -> dict[str, np.ndarray]:
    return {"observation": np.eye(5, dtype=np.float32)[states]}


SPEC = vector_spec(5, 3)
BATCH = transitions(SPEC, one_hot([0, 1, 2]), ACTIONS, REWARDS, DISCOUNTS, one_hot([3, 4, 3]))


def tabular_agent(kind: Kind, **settings: object) -> DqnAgent:
    agent = DqnAgent(Config(network=Linear(), agent=KINDS[kind](**settings)), SPEC)  # type: ignore[arg-type]
    agent.network.load_named_weights({"theta/kernel": ONLINE})
    table = DQN_TARGET if kind == "dqn" else DOUBLE_TARGET
    agent.target_network.load_named_weights({"theta/kernel": table})
    return agent


@pytest.mark.parametrize("kind", ["dqn", "double_dqn"])
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # 1.5² / 2 = 1.125, 2.5² / 2 = 3.125, 4² / 2 = 8; their mean
        ("squared", (1.125 + 3.125 + 8) / 3),
        # with delta 2: 1.125, 2 · (2.5 - 1) = 3, 2 · (4 - 1) = 6; their mean
        ("huber", (1.125 + 3 + 6) / 3),
    ],
)
def test_both_losses_have_their_golden_values(kind: Kind, loss: str, expected: float) -> None:
    info = tabular_agent(kind, loss=loss, huber_delta=2.0).loss(BATCH)
    np.testing.assert_allclose(info.extra.td_error, TD_ERRORS)
    np.testing.assert_allclose(info.loss, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["dqn", "double_dqn"])
def test_importance_weights_multiply_each_examples_loss_before_the_mean(kind: Kind) -> None:
    weights = tf.constant([1.0, 0.5, 0.25])
    # 1.125 · 1 + 3.125 · 0.5 + 8 · 0.25 = 4.6875; over three examples, not over the weights' sum
    info = tabular_agent(kind).loss(BATCH, weights=weights)
    np.testing.assert_allclose(info.loss, 4.6875 / 3, rtol=1e-6)
    np.testing.assert_allclose(info.extra.td_error, TD_ERRORS)


def test_the_reward_scale_multiplies_rewards_and_not_bootstrapped_values() -> None:
    # 10 · 0.5 + 0.5 · 4 - 1 = 6;  10 · (-1) + 0.25 · 2 - 2 = -11.5;  10 · 3 + 1 = 31
    info = tabular_agent("dqn", reward_scale=10.0).loss(BATCH)
    np.testing.assert_allclose(info.extra.td_error, [6, -11.5, 31])


def test_a_truncated_transition_bootstraps_and_a_terminated_one_does_not() -> None:
    ends = transitions(SPEC, one_hot([0, 0]), np.array([0, 0]), np.array([1, 1]), np.array([0.5, 0]), one_hot([3, 3]))
    # truncated: 1 + 0.5 · 4 - 1 = 2; terminated: 1 + 0 · 4 - 1 = 0
    np.testing.assert_allclose(tabular_agent("dqn").loss(ends).extra.td_error, [2, 0])


def test_the_extra_tells_the_value_of_the_action_taken_and_the_largest_one() -> None:
    extra = tabular_agent("dqn").loss(BATCH).extra
    np.testing.assert_allclose(extra.q_value, [1, 2, -1])
    np.testing.assert_allclose(extra.max_q_value, [POISON] * 3)


@pytest.mark.parametrize("kind", ["dqn", "double_dqn"])
def test_the_gradient_flows_through_the_prediction_alone(kind: Kind) -> None:
    agent = tabular_agent(kind)
    (theta,) = agent.network.named_weights().values()
    (target,) = agent.target_network.named_weights().values()
    with tf.GradientTape() as tape:
        tape.watch([theta, target])
        loss = agent.loss(BATCH).loss
    gradient, of_target = tape.gradient(loss, [theta, target])
    expected = np.zeros((5, 3))
    expected[[0, 1, 2], ACTIONS] = -np.array(TD_ERRORS) / 3  # rows 3 and 4, the next states, stay zero
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)
    assert of_target is None


def theirs(agent: DqnAgent, config: Config, spec: TaskSpec, loss_fn: Callable) -> dqn_agent.DqnAgent:
    """TF-Agents' own agent with the same weights."""
    observation: Any = observation_spec(spec)
    if spec.action_masks:
        observation = (observation, tensor_spec.BoundedTensorSpec(spec.num_actions, tf.bool, False, True))
    kind = dqn_agent.DdqnAgent if config.agent.kind == "double_dqn" else dqn_agent.DqnAgent
    other = kind(
        ts.time_step_spec(observation),
        tensor_spec.BoundedTensorSpec((), tf.int32, 0, spec.num_actions[0] - 1),
        q_network=q_network(config, spec, seed=0),
        optimizer=None,
        observation_and_action_constraint_splitter=(lambda both: both) if spec.action_masks else None,
        td_errors_loss_fn=loss_fn,
    )
    other._q_network.load_named_weights(agent.network.named_weights())
    other._target_q_network.load_named_weights(agent.target_network.named_weights())
    return other


@pytest.mark.parametrize("action_masks", [False, True])
@pytest.mark.parametrize("kind", ["dqn", "double_dqn"])
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_the_loss_is_that_of_tf_agents(kind: Kind, loss: Literal["squared", "huber"], action_masks: bool) -> None:
    rng = np.random.default_rng(3)
    spec = vector_spec(action_masks=action_masks)
    config = Config(network=MLP(hidden_units=(5,)), agent=KINDS[kind](loss=loss, reward_scale=0.5))
    agent = DqnAgent(config, spec)
    for network in (agent.network, agent.target_network):
        network.load_named_weights(random_weights(network.named_weights(), rng))
    loss_fn = common.element_wise_squared_loss if loss == "squared" else common.element_wise_huber_loss
    experience: trajectory.Transition = random_transitions(spec, 64, rng)
    weights = tf.constant(rng.random(64), tf.float32)
    other = theirs(agent, config, spec, loss_fn)
    expected = other._loss(experience, weights=weights, gamma=1.0, reward_scale_factor=0.5)
    ours = agent.loss(experience, weights=weights)
    factor = 0.5 if loss == "squared" else 1  # their squared loss is not halved
    np.testing.assert_allclose(ours.loss, factor * expected.loss, rtol=1e-5)
    np.testing.assert_allclose(ours.extra.td_error, expected.extra.td_error, rtol=1e-4, atol=1e-5)


def test_the_target_network_starts_as_a_copy_of_its_own() -> None:
    agent = DqnAgent(Config(network=MLP(hidden_units=(5,))), vector_spec())
    online, target = agent.network.named_weights(), agent.target_network.named_weights()
    assert list(online) == list(target)
    for name, weight in online.items():
        assert weight is not target[name]
        np.testing.assert_array_equal(weight, target[name])


def test_initial_weights_are_the_seeds_own() -> None:
    def weights(seed: int) -> np.ndarray:
        network = DqnAgent(Config(seed=seed, network=MLP(hidden_units=(5,))), vector_spec()).network
        return np.concatenate([weight.numpy().ravel() for weight in network.named_weights().values()])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.isin(weights(1), weights(2)).any()
