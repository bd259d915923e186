"""docs/method.md, section 17: several action dimensions, transcribed into NumPy."""

import numpy as np
import tensorflow as tf

from tests.support.batches import random_weights, vector_spec
from tests.support.method_page import equation
from tfdqn.agents.loss import LossOutput
from tfdqn.agents.losses import td
from tfdqn.config import MLP, Config
from tfdqn.networks.factory import q_network

B, F, COUNTS = 6, 5, (3, 2, 4)
D, WIDEST = len(COUNTS), max(COUNTS)
RNG = np.random.default_rng(1)
IS_ACTION = np.arange(WIDEST) < np.array(COUNTS)[:, np.newaxis]


@equation(42, "tfdqn.networks.branches.branching")
def test_equation_42_branching_streams() -> None:
    network = q_network(Config(network=MLP(hidden_units=(4,), dueling=True)), vector_spec(F, COUNTS), seed=0)
    network.create_variables()
    w = random_weights(network.named_weights(), np.random.default_rng(2))
    network.load_named_weights(w)
    x = RNG.normal(size=(B, F)).astype(np.float32)

    def stream(name: str) -> np.ndarray:
        hidden = np.maximum(x @ w[f"{name}_hidden_0/kernel"] + w[f"{name}_hidden_0/bias"], 0)
        return hidden @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    q = network({"observation": tf.constant(x)})[0].numpy()
    for i, count in enumerate(COUNTS):
        z = stream(f"advantage_{i}")
        expected = stream("value") + z - z.sum(axis=1, keepdims=True) / count
        np.testing.assert_allclose(q[:, i, :count], expected, rtol=1e-3, atol=1e-4)


@equation(43, "tfdqn.agents.losses.td.mean_value")
def test_equation_43_the_value_of_the_next_state() -> None:
    target, online = np.where(IS_ACTION, RNG.normal(size=(2, B, D, WIDEST)), 0).astype(np.float32)
    legal = IS_ACTION & (RNG.random((B, D, WIDEST)) < 0.7)
    legal[..., 0] = True
    expected = [
        np.mean([target[b, i, np.where(legal[b, i], online[b, i], -np.inf).argmax()] for i in range(D)])
        for b in range(B)
    ]
    found = td.mean_value(td.greedy_value)(tf.constant(target), tf.constant(online), tf.constant(legal))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@equation(44, "tfdqn.agents.losses.td.over_branches")
def test_equation_44_an_examples_loss_and_error() -> None:
    delta = RNG.normal(scale=3, size=(B, D)).astype(np.float32)
    errors, q = tf.constant(delta), tf.zeros((B, D, WIDEST))
    found = td.over_branches(LossOutput(td.squared_loss(errors), errors, q, tf.constant(delta + 1)))
    np.testing.assert_allclose(found.loss, [sum(0.5 * d**2 for d in row) / D for row in delta], rtol=1e-5)
    np.testing.assert_allclose(found.td_error, [sum(abs(d) for d in row) for row in delta], rtol=1e-5)
