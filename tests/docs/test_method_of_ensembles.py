"""The page's equations of ensembles, transcribed into NumPy."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.agents.test_ensemble_masks_row_hash import finalizer, slow_hash
from tests.support.batches import random_transitions, random_weights, vector_spec
from tests.support.method_page import equation
from tfdqn.agents.ensemble import EnsembleAgent
from tfdqn.agents.ensemble_masks import member_weights
from tfdqn.agents.losses import td
from tfdqn.config import Config, Ensemble, Linear
from tfdqn.learning.optimizers import clipped
from tfdqn.networks.best_actions import Aggregation, aggregate
from tfdqn.randomness import derived_seed

B, A, F, K = 12, 4, 3, 3
SPEC = vector_spec(F, A)
RNG = np.random.default_rng(1)
Q, Q_TARGET = RNG.normal(size=(2, K, B, A)).astype(np.float32)
LEGAL = RNG.random((B, A)) < 0.7
LEGAL[:, 0] |= ~LEGAL.any(axis=1)


def f32(array: object) -> tf.Tensor:
    return tf.constant(array, tf.float32)


def arrays(batch: Any) -> tuple[np.ndarray, ...]:
    """(s, a, R, d, s')."""
    after = batch.next_time_step
    parts = (batch.time_step.observation["observation"], batch.action_step.action, after.reward, after.discount)
    return *(part.numpy() for part in parts), after.observation["observation"].numpy()


@equation(21, "tfdqn.agents.ensemble.EnsembleAgent._loss")
def test_equation_21_the_loss_of_an_ensemble() -> None:
    config = Config(network=Linear(), ensemble=Ensemble(size=K, data="partition", partition_edges=(-0.5, 0.5)))
    agent = EnsembleAgent(config, SPEC)
    for network in (agent.network, agent.target_network):
        network.load_named_weights(random_weights(network.named_weights(), RNG))
    theta, held = (n.named_weights()["theta/kernel"].numpy() for n in (agent.network, agent.target_network))
    batch, w = random_transitions(SPEC, B, RNG), RNG.random(B)
    s, a, R, d, s_next = arrays(batch)
    owner = np.digitize(s[:, 0], [-0.5, 0.5])
    expected = 0.0
    for k in range(K):
        delta = R + d * (s_next @ held[k]).max(axis=1) - (s @ theta[k])[np.arange(B), a]
        expected += ((owner == k) / (1 / K) * w * delta**2 / 2).sum() / B
    np.testing.assert_allclose(agent.loss(batch, weights=f32(w)).loss, expected, rtol=1e-5)


@equation(22, "tfdqn.agents.ensemble_masks.member_weights")
@pytest.mark.parametrize("data", ["all", "bootstrap", "hash", "partition"])
def test_equation_22_the_examples_of_a_member(data: str) -> None:
    p, edges = 0.3, (-0.5, 0.5)
    ensemble = Ensemble(size=K, data=data, mask_probability=p, partition_edges=edges)  # type: ignore[arg-type]
    config, batch = Config(seed=5, ensemble=ensemble), random_transitions(SPEC, 50, RNG)
    s, a, R, d, s_next = arrays(batch)
    salt = derived_seed(5, "ensemble data")
    expected = np.zeros((K, 50))
    for b in range(50):
        bits = np.concatenate([s[b], a[b : b + 1].view(np.float32), [R[b], d[b]], s_next[b]]).astype(np.float32)
        of_state, of_all = (slow_hash(words.view(np.uint32), salt) for words in (s[b], bits))
        for k in range(K):
            u = (finalizer(of_all ^ finalizer((k + 1) * 0x9E3779B9 % 2**32)) >> 8) / 2**24
            low, high = (-np.inf, *edges, np.inf)[k : k + 2]
            expected[k, b] = {
                "all": 1,
                "bootstrap": (u < p) / p,
                "hash": ((of_state >> 1) % K == k) / (1 / K),
                "partition": (low <= s[b, 0] < high) / (1 / K),
            }[data]
    states = (batch.time_step.observation, batch.next_time_step.observation)
    np.testing.assert_allclose(member_weights(config, SPEC)(batch, *states), expected, rtol=1e-6)


def aggregated(q: np.ndarray, aggregation: Aggregation) -> np.ndarray:
    """Equation 23."""
    if aggregation == "mean":
        return q.sum(axis=0) / K
    if aggregation == "minimum":
        return q.min(axis=0)
    best = np.where(LEGAL, q, -np.inf).argmax(axis=2)
    votes = np.array([[(best[:, b] == a).sum() for a in range(A)] for b in range(B)])
    winner = np.where(votes == votes.max(axis=1, keepdims=True), q.mean(axis=0), -np.inf).argmax(axis=1)
    return votes + (winner[:, None] == np.arange(A)) / 2


@equation(23, "tfdqn.networks.best_actions.aggregate")
@pytest.mark.parametrize("aggregation", ["mean", "minimum", "majority"])
def test_equation_23_the_aggregate(aggregation: Aggregation) -> None:
    found = aggregate(f32(Q), tf.constant(LEGAL), aggregation)
    np.testing.assert_allclose(found, aggregated(Q, aggregation), rtol=1e-5)


@equation(24, "tfdqn.agents.losses.td.aggregate_value")
@pytest.mark.parametrize("kind", ["dqn", "double_dqn"])
@pytest.mark.parametrize("aggregation", ["mean", "minimum", "majority"])
def test_equation_24_the_common_target(aggregation: Aggregation, kind: str) -> None:
    R, d = RNG.normal(size=(2, B))
    select = Q_TARGET if kind == "dqn" else Q
    a = np.where(LEGAL, aggregated(select, aggregation), -np.inf).argmax(axis=1)
    of_action = Q_TARGET[:, np.arange(B), a]
    value = of_action.min(axis=0) if aggregation == "minimum" else of_action.mean(axis=0)
    found = f32(R) + f32(d) * td.aggregate_value(f32(Q_TARGET), f32(select), tf.constant(LEGAL), aggregation)
    np.testing.assert_allclose(found, R + d * value, rtol=1e-4, atol=1e-5)


@equation(25, "tfdqn.learning.optimizers.clipped")
def test_equation_25_clipping_each_member() -> None:
    c, g = (
        2.0,
        [
            RNG.normal(size=shape) * np.array([0.1, 1, 9]).reshape(3, *[1] * (len(shape) - 1))
            for shape in ((K, 3, 2), (K, 2))
        ],
    )
    found, _ = clipped([f32(each) for each in g], c, members=K)
    for k in range(K):
        norm = np.sqrt(sum((each[k] ** 2).sum() for each in g))
        for each, ours in zip(g, found, strict=True):
            np.testing.assert_allclose(ours[k], each[k] * min(1, c / norm), rtol=1e-5)
