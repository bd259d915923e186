"""IQN against a slow oracle at given fractions; which are drawn for each example, and none without noise."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support import quantile_oracle
from tests.support.batches import random_transitions, random_weights, vector_spec
from tests.support.loss_outputs import of_agent
from tfdqn.agents.dqn import DqnAgent
from tfdqn.agents.loss import Batch, LossNetwork
from tfdqn.agents.losses import iqn
from tfdqn.config import IQN, MLP, Config
from tfdqn.networks.noise import Noise

SIZE, ACTIONS = 10, 4


def slow_quantiles(weights: dict[str, np.ndarray], observation: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Z_τ(s, ·) [B, A, N] of fractions [B, N], word for word of equation 4, of an MLP with two hidden layers."""
    hidden = np.maximum(observation @ weights["hidden_0/kernel"] + weights["hidden_0/bias"], 0)
    kernel, bias = weights["embedding/kernel"], weights["embedding/bias"]
    quantiles = np.zeros((len(observation), ACTIONS, tau.shape[1]))
    for b, j in np.ndindex(tau.shape):
        cosines = np.array([np.cos(np.pi * i * tau[b, j]) for i in range(len(kernel))])
        embedded = np.maximum(cosines @ kernel + bias, 0)
        last = np.maximum((hidden[b] * embedded) @ weights["hidden_1/kernel"] + weights["hidden_1/bias"], 0)
        quantiles[b, :, j] = last @ weights["q/kernel"] + weights["q/bias"]
    return quantiles


def agent_of(settings: IQN, rng: np.random.Generator) -> tuple[DqnAgent, list[dict[str, np.ndarray]]]:
    """With random weights, and those of its online and target networks in float64."""
    agent = DqnAgent(Config(network=MLP(hidden_units=(6, 5)), agent=settings), vector_spec())
    weights = [random_weights(network.named_weights(), rng) for network in (agent.network, agent.target_network)]
    for network, each in zip((agent.network, agent.target_network), weights, strict=True):
        network.load_named_weights(each)
    return agent, [{name: array.astype(float) for name, array in each.items()} for each in weights]


@pytest.mark.parametrize("masks", [False, True], ids=["", "masks"])
@pytest.mark.parametrize(
    ("target", "kappa", "temperature"),
    [("max", 0.0, 1.0), ("max", 3.0, 1.0), ("double", 0.5, 1.0), ("munchausen", 1.0, 0.5)],
)
def test_the_loss_is_that_of_a_slow_oracle(
    target: Any, kappa: float, temperature: float, masks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    settings = IQN(
        quantiles=5,
        target_quantiles=3,
        acting_quantiles=7,
        embedding=4,
        huber_kappa=kappa,
        target=target,
        temperature=temperature,
    )
    agent, (online, of_target) = agent_of(settings, rng)
    transitions = random_transitions(vector_spec(action_masks=True), SIZE, rng)
    (before, _), (after, legal) = transitions.time_step.observation, transitions.next_time_step.observation
    taken, rows = transitions.action_step.action.numpy(), np.arange(SIZE)
    legal_tm1, legal_t = np.ones((2, SIZE, ACTIONS), bool)
    if masks:
        legal_tm1, legal_t = rng.random((SIZE, ACTIONS)) < 0.4, legal.numpy()
        legal_tm1[rows, taken] = True
    reward, discount = transitions.next_time_step.reward, transitions.next_time_step.discount
    drawn = {count: rng.random((SIZE, count)).astype(np.float32) for count in (5, 3)}
    monkeypatch.setattr(iqn, "fractions", lambda network, rows, count: tf.constant(drawn[count]))
    batch = Batch(before, tf.constant(legal_tm1), transitions.action_step.action, reward, discount, after, legal_t)
    found = of_agent(agent, settings, batch)

    x_tm1, x_t = before["observation"].numpy().astype(float), after["observation"].numpy().astype(float)
    midpoints = np.tile((np.arange(7) + 0.5) / 7, (SIZE, 1))
    z_tm1, z_t = slow_quantiles(online, x_tm1, drawn[5]), slow_quantiles(of_target, x_t, drawn[3])
    q_t, q_select_t, q_tm1 = (
        slow_quantiles(weights, x, midpoints).mean(axis=-1)
        for weights, x in ((of_target, x_t), (online, x_t), (of_target, x_tm1))
    )
    for b in rows:
        at_t = (z_t[b], q_t[b], q_select_t[b], legal_t[b])
        wanted = quantile_oracle.targets(
            settings, float(reward[b]), float(discount[b]), *at_t, q_tm1[b], taken[b], legal_tm1[b]
        )
        loss, error = quantile_oracle.regression(drawn[5][b], z_tm1[b, taken[b]], wanted, kappa)
        np.testing.assert_allclose(found.loss[b], loss / (kappa or 1), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found.td_error[b], error, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.q_tm1, z_tm1.mean(axis=-1), rtol=1e-5, atol=1e-5)


def test_fractions_are_each_examples_own_and_drawn_anew() -> None:
    agent, _ = agent_of(IQN(), np.random.default_rng(2))
    network = LossNetwork(agent.network, Noise(3, tf.constant(5, tf.int64)))
    first, second = (iqn.fractions(network, tf.constant(400), 64).numpy() for _ in range(2))
    assert first.shape == (400, 64) and len(np.unique(np.concatenate([first, second]))) > 0.99 * 2 * 400 * 64
    assert first.min() >= 0 and first.max() < 1
    np.testing.assert_allclose(np.histogram(first, 10, (0, 1))[0] / first.size, 0.1, atol=0.01)
    assert np.abs(np.corrcoef(first[:-1].ravel(), first[1:].ravel())[0, 1]) < 0.02


def test_without_noise_they_are_midpoints() -> None:
    agent, _ = agent_of(IQN(), np.random.default_rng(2))
    found = iqn.fractions(LossNetwork(agent.network, None), tf.constant(9), 4)
    np.testing.assert_allclose(found, [[0.125, 0.375, 0.625, 0.875]])


def test_what_acts_is_the_mean_at_the_midpoints() -> None:
    rng = np.random.default_rng(4)
    agent, (online, _) = agent_of(IQN(acting_quantiles=6, embedding=8), rng)
    x = rng.normal(size=(SIZE, 3)).astype(np.float32)
    expected = slow_quantiles(online, x.astype(float), np.tile((np.arange(6) + 0.5) / 6, (SIZE, 1))).mean(axis=-1)
    np.testing.assert_allclose(agent.network({"observation": x})[0], expected, rtol=1e-5, atol=1e-5)
