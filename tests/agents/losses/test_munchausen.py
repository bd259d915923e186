"""Munchausen DQN: its golden loss by hand, and a slow oracle in float64 on poisoned inputs."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_transitions, random_weights, transitions, vector_spec
from tfdqn.agents.dqn import DqnAgent
from tfdqn.agents.factory import make_agent
from tfdqn.agents.losses.munchausen import log_policy_of_action, soft_value
from tfdqn.config import DQN, MLP, Config, Ensemble, Linear, Munchausen

POISON = 1e6
# One-hot states and the linear network make θ a table of Q-values. States 0, 1, 2 are acted in, 3 and 4 follow. What a
# right loss never reads is poisoned: of the online network all but Q(s, a).
ONLINE = np.array(
    [[1, POISON, POISON], [POISON, 2, POISON], [POISON, POISON, -1], [POISON] * 3, [-POISON, POISON, POISON]]
)
# With τ = 1, π of these rows is (1/4, 1/4, 1/2), (1/8, 3/4, 1/8), (0.8, 0.1, 0.1); Σ exp Q⁻ of the last two is 8 and 4.
TARGET = np.log([[1, 1, 2], [2, 12, 2], [8, 1, 1], [2, 5, 1], [1, 1, 2]])
ACTIONS, REWARDS = np.array([0, 1, 2]), np.array([0.5, -1.0, 3.0])
DISCOUNTS = np.array([0.5, 0.25, 0.0])  # the last one terminated
SPEC = vector_spec(5, 3)


def one_hot(states: list[int]) -> dict[str, np.ndarray]:
    return {"observation": np.eye(5, dtype=np.float32)[states]}


def tabular_agent(**settings: Any) -> DqnAgent:
    agent = DqnAgent(Config(network=Linear(), agent=Munchausen(**settings)), SPEC)
    agent.network.load_named_weights({"theta/kernel": ONLINE})
    agent.target_network.load_named_weights({"theta/kernel": TARGET})
    return agent


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_the_loss_has_its_golden_value(loss: str) -> None:
    agent = tabular_agent(temperature=1.0, loss=loss, huber_delta=0.5)
    batch = transitions(SPEC, one_hot([0, 1, 2]), ACTIONS, REWARDS, DISCOUNTS, one_hot([3, 4, 3]))
    # Bonuses: ln(1/4) = −1.3863 is below the floor, so 0.9 · −1; 0.9 · ln(3/4) = −0.258914; ln(0.1): again −0.9.
    # Targets:  0.5 − 0.9 + 0.5 · ln 8 = 0.639721;  −1 − 0.258914 + 0.25 · ln 4 = −0.912340;  3 − 0.9 + 0 = 2.1
    # Errors:   0.639721 − 1 = −0.360279;  −0.912340 − 2 = −2.912340;  2.1 + 1 = 3.1
    errors = [-0.360279, -2.912340, 3.1]
    # δ²/2: 0.064901, 4.240862, 4.805. Huber with 0.5: 0.064901; 0.5 · (2.912340 − 0.25); 0.5 · (3.1 − 0.25)
    expected = {"squared": (0.064901 + 4.240862 + 4.805) / 3, "huber": (0.064901 + 1.331170 + 1.425) / 3}
    info = agent.loss(batch)
    np.testing.assert_allclose(info.extra.td_error, errors, atol=1e-5)
    np.testing.assert_allclose(info.loss, expected[loss], rtol=1e-5)


def slow_target(
    settings: Munchausen,
    reward: float,
    discount: float,
    q_tm1: np.ndarray,
    action: int,
    legal_tm1: np.ndarray,
    q_t: np.ndarray,
    legal_t: np.ndarray,
) -> float:
    """Equations 1 to 3 word for word, of one transition: rows of the target network, float64[A], and legal bool[A]."""

    def policy(q: np.ndarray, legal: np.ndarray) -> dict[int, float]:
        actions = np.flatnonzero(legal).tolist()
        weights = {a: np.exp((q[a] - max(q[actions])) / settings.temperature) for a in actions}
        return {a: weight / sum(weights.values()) for a, weight in weights.items()}

    tau = settings.temperature
    bonus = min(max(tau * np.log(policy(q_tm1, legal_tm1)[action]), settings.log_policy_floor), 0.0)
    value = sum(p * (q_t[a] - tau * np.log(p)) for a, p in policy(q_t, legal_t).items() if p > 0)
    return settings.reward_scale * reward + settings.log_policy_scale * bonus + discount * value


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("masks", [False, True], ids=["", "masks"])
@pytest.mark.parametrize("temperature", [0.03, 0.5, 20.0])
def test_the_loss_is_that_of_a_slow_oracle(temperature: float, masks: bool, members: int) -> None:
    rng, size, actions = np.random.default_rng(1), 100, 4
    spec = vector_spec(action_masks=masks)
    settings = Munchausen(temperature=temperature, reward_scale=0.5, n_step=3)
    config = Config(network=MLP(hidden_units=(5,)), agent=settings, ensemble=Ensemble(size=members, data="all"))
    agent = make_agent(config, spec)
    for network in (agent.network, agent.target_network):
        network.load_named_weights(random_weights(network.named_weights(), rng))
    batch = random_transitions(spec, size, rng)
    taken, rows = batch.action_step.action.numpy(), np.arange(size)
    before, after = batch.time_step.observation, batch.next_time_step.observation
    legal_tm1, legal_t = np.ones((2, size, actions), bool)
    if masks:
        (before, _), (after, legal) = before, after
        legal_tm1, legal_t = rng.random((size, actions)) < 0.4, legal.numpy()
        legal_tm1[rows, taken] = True
        masked = batch.time_step._replace(observation=(before, tf.constant(legal_tm1)))
        batch = batch._replace(time_step=masked)

    def table(network: Any, observation: Any) -> np.ndarray:
        return network(observation)[0].numpy().astype(np.float64).reshape(members, size, actions)

    online, q_tm1, q_t = (
        table(agent.network, before),
        table(agent.target_network, before),
        table(agent.target_network, after),
    )
    reward, discount = batch.next_time_step.reward.numpy(), batch.next_time_step.discount.numpy()
    targets = [
        [
            slow_target(settings, reward[b], discount[b], q_tm1[k, b], taken[b], legal_tm1[b], q_t[k, b], legal_t[b])
            for b in rows
        ]
        for k in range(members)
    ]
    errors = np.array(targets) - online[:, rows, taken]
    info = agent.loss(batch)
    np.testing.assert_allclose(np.abs(info.extra.td_error), np.abs(errors).mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(info.loss, (errors**2 / 2).mean(axis=1).sum(), rtol=1e-5)


def test_what_is_illegal_has_no_part_in_the_policy() -> None:
    q, legal = tf.constant([[POISON, 0.0, np.log(3)]], tf.float32), tf.constant([[False, True, True]])
    np.testing.assert_allclose(soft_value(q, legal, 1.0), [np.log(4)], rtol=1e-6)
    np.testing.assert_allclose(log_policy_of_action(q, tf.constant([2]), legal, 1.0), [np.log(3 / 4)], rtol=1e-6)


def test_enormous_values_and_terminal_states_without_legal_actions_stay_finite() -> None:
    q = tf.constant([[3e6, -3e6, 0.0]])
    np.testing.assert_allclose(soft_value(q, None, 0.03), [3e6])
    np.testing.assert_allclose(log_policy_of_action(q, tf.constant([1]), None, 0.03), [-6e6])
    assert np.isfinite(soft_value(q, tf.constant([[False] * 3]), 0.03)).all()


def test_a_cold_policy_without_its_bonus_is_dqn() -> None:
    rng, spec = np.random.default_rng(2), vector_spec()
    batch, errors = random_transitions(spec, 40, rng), []
    weights: dict[str, np.ndarray] = {}
    for settings in (Munchausen(temperature=1e-5, log_policy_scale=0.0), DQN()):
        agent = DqnAgent(Config(network=MLP(hidden_units=(5,)), agent=settings), spec)
        weights = weights or random_weights(agent.network.named_weights(), rng)
        agent.target_network.load_named_weights(weights)
        errors.append(agent.loss(batch).extra.td_error)
    np.testing.assert_allclose(*errors, atol=1e-4)


def test_the_gradient_flows_through_the_prediction_alone() -> None:
    agent = tabular_agent(temperature=1.0)
    (theta,) = agent.network.named_weights().values()
    (target,) = agent.target_network.named_weights().values()
    batch = transitions(SPEC, one_hot([0, 1, 2]), ACTIONS, REWARDS, DISCOUNTS, one_hot([3, 4, 3]))
    with tf.GradientTape() as tape:
        tape.watch([theta, target])
        info = agent.loss(batch)
    gradient, of_target = tape.gradient(info.loss, [theta, target])
    expected = np.zeros((5, 3))
    expected[[0, 1, 2], ACTIONS] = -info.extra.td_error.numpy() / 3
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    assert of_target is None
