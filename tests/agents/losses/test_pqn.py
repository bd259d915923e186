"""λ-returns against the forward view, written out, on episodes that end in every way, and RLax; and PQN's loss."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_transitions, random_weights, vector_spec
from tests.support.golden_files import golden
from tfdqn.agents.dqn import DqnAgent
from tfdqn.agents.losses.pqn import lambda_returns
from tfdqn.config import MLP, PQN, Config


def forward_view(rewards: np.ndarray, discounts: np.ndarray, values: np.ndarray, lambda_: float) -> float:
    """(1 − λ) Σ_k λ^(k−1) G^(k) + λ^(K−1) G^(K) of the first of K steps, G^(k) having k rewards and a bootstrap."""
    horizon = len(rewards)
    returns = []
    for k in range(1, horizon + 1):
        weights = np.cumprod([1.0, *discounts[:k]])
        returns.append(np.dot(weights[:k], rewards[:k]) + weights[k] * values[k - 1])
    shares = [(1 - lambda_) * lambda_ ** (k - 1) for k in range(1, horizon)] + [lambda_ ** (horizon - 1)]
    assert sum(shares) == pytest.approx(1)
    return float(np.dot(shares, returns))


@pytest.mark.parametrize("lambda_", [0.0, 0.3, 0.95, 1.0])
def test_lambda_returns_are_the_forward_views(lambda_: float) -> None:
    rng, shape = np.random.default_rng(1), (17, 40)
    rewards, values = rng.normal(size=(2, *shape)) * 10
    terminated, is_last = rng.random(shape) < 0.1, rng.random(shape) < 0.15
    discounts = 0.9 * ~terminated
    returns = lambda_returns(rewards, discounts, values, lambda_ * ~(is_last | terminated))
    for t, e in np.ndindex(shape):
        ends = np.flatnonzero((is_last | terminated)[t:, e])
        seen = slice(t, t + ends[0] + 1 if len(ends) else shape[0])
        expected = forward_view(rewards[seen, e], discounts[seen, e], values[seen, e], lambda_)
        assert returns[t, e] == pytest.approx(expected, abs=1e-9)


def test_lambda_returns_have_their_golden_values() -> None:
    # Backwards, γ = 1/2, λ = 1/2, of rewards 1, 2, 4 and values 8, 16, 32:
    # 4 + 1/2 · 32 = 20;  2 + 1/2 (1/2 · 16 + 1/2 · 20) = 11;  1 + 1/2 (1/2 · 8 + 1/2 · 11) = 5.75
    rewards, discounts, values = np.array([1.0, 2, 4]), np.full(3, 0.5), np.array([8.0, 16, 32])
    np.testing.assert_array_equal(lambda_returns(rewards, discounts, values, np.full(3, 0.5)), [5.75, 11, 20])
    # The second step terminates, and the value beyond it is poisoned:  2;  1 + 1/2 (1/2 · 8 + 1/2 · 2) = 3.5
    discounts[1], values[1] = 0, 1e6
    np.testing.assert_array_equal(lambda_returns(rewards, discounts, values, np.array([0.5, 0, 0.5])), [3.5, 2, 20])


def test_the_loss_is_the_squared_error_to_the_return_and_asks_nothing_of_the_next_state() -> None:
    rng, spec = np.random.default_rng(2), vector_spec()
    agent = DqnAgent(Config(network=MLP(hidden_units=(5,)), agent=PQN(reward_scale=0.1)), spec)
    agent.network.load_named_weights(random_weights(agent.network.named_weights(), rng))
    batch, weights = random_transitions(spec, 30, rng), rng.random(30).astype(np.float32)
    q = agent.network(batch.time_step.observation)[0].numpy()[np.arange(30), batch.action_step.action]
    errors = 0.1 * batch.next_time_step.reward.numpy() - q
    poison = batch.next_time_step._replace(
        observation=tf.nest.map_structure(lambda x: x * np.nan, batch.next_time_step.observation),
        discount=batch.next_time_step.discount * np.nan,
    )
    info = agent.loss(batch._replace(next_time_step=poison), weights=tf.constant(weights))
    np.testing.assert_allclose(info.extra.td_error, errors, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(info.loss, np.mean(weights * errors**2 / 2), rtol=1e-5)
    assert agent.target_weights == {}


CASE = golden("returns")


@pytest.mark.parametrize("lambda_", [0.0, 0.65, 1.0])
def test_lambda_returns_are_rlaxs(lambda_: float) -> None:
    r_t, discount_t, v_t = CASE["r_t"], CASE["discount_t"], CASE["v_t"]
    found = lambda_returns(r_t, discount_t, v_t, np.full(len(r_t), lambda_))
    np.testing.assert_allclose(found, CASE[f"lambda_{lambda_:g}"], atol=1e-5)


def test_errors_of_q_lambda_are_rlaxs() -> None:
    r_t, v_t = CASE["r_t"], CASE["q_t"].max(axis=1)
    returns = lambda_returns(r_t, CASE["discount_t"], v_t, np.full(len(r_t), 0.65))
    predicted = CASE["q_tm1"][np.arange(len(r_t)), CASE["action_tm1"]]
    np.testing.assert_allclose(returns - predicted, CASE["q_lambda_error"], atol=1e-5)
