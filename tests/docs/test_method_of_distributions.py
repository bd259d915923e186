"""docs/method.md, sections 14 and 15: distributions, scales and horizons, transcribed into NumPy."""

import numpy as np
import tensorflow as tf

from tests.support.batches import random_weights, vector_spec
from tests.support.loss_outputs import of_tables
from tests.support.method_page import equation
from tfdqn.agents.loss import Batch
from tfdqn.agents.losses import td
from tfdqn.config import C51, DQN, IQN, MLP, QRDQN, Config
from tfdqn.networks.factory import q_network
from tfdqn.networks.heads.quantile import ImplicitQuantileHead
from tfdqn.replay.horizon import Horizon

B, A, N = 5, 3, 4
RNG = np.random.default_rng(1)
R, D = RNG.normal(size=B).astype(np.float32), np.float32([0.9, 0.8, 0, 0.9, 0.5])
BATCH = {"r_t": R, "discount_t": D, "action_tm1": np.int32([0, 2, 1, 1, 0])}
ROWS = np.arange(B)
ONLINE, TARGET = RNG.normal(size=(2, 2 * B, A, N))  # rows of s, then of s'


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


@equation(34, "tfdqn.agents.losses.c51.c51")
def test_equation_34_c51() -> None:
    z = np.linspace(-1.0, 2.0, N)
    p = softmax(TARGET[B:])
    p = p[ROWS, (p @ z).argmax(axis=1)]
    atoms = np.clip(R[:, None] + D[:, None] * z, -1, 2)
    m = (np.clip(1 - np.abs(atoms[:, None, :] - z[:, None]) / 1.0, 0, 1) * p[:, None, :]).sum(axis=2)
    log_p = np.log(softmax(ONLINE[:B]))[ROWS, BATCH["action_tm1"]]
    found = of_tables(C51(v_min=-1, v_max=2, atoms=N), ONLINE, TARGET, BATCH, None)
    np.testing.assert_allclose(found.loss, -(m * log_p).sum(axis=1), rtol=1e-5)
    divergence = np.where(m > 0, m * (np.log(np.maximum(m, 1e-30)) - log_p), 0).sum(axis=1)
    np.testing.assert_allclose(found.td_error, divergence, rtol=1e-4, atol=1e-6)


@equation(35, "tfdqn.agents.losses.qr_dqn.quantile_regression")
def test_equation_35_quantile_regression() -> None:
    kappa, tau = 0.7, (np.arange(N) + 0.5) / N
    best = TARGET[B:].mean(axis=2).argmax(axis=1)
    y = R[:, None] + D[:, None] * TARGET[B:][ROWS, best]
    delta = y[:, None, :] - ONLINE[:B][ROWS, BATCH["action_tm1"]][:, :, None]
    size = np.abs(delta)
    huber = np.where(size <= kappa, delta**2 / 2, kappa * (size - kappa / 2))
    expected = (np.abs(tau[:, None] - (delta < 0)) * huber).mean(axis=2).sum(axis=1)
    found = of_tables(QRDQN(quantiles=N, huber_kappa=kappa), ONLINE, TARGET, BATCH, None)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
    np.testing.assert_allclose(found.td_error, size.mean(axis=(1, 2)), rtol=1e-5)


@equation(36, "tfdqn.networks.heads.quantile.ImplicitQuantileHead.at")
def test_equation_36_the_quantile_function() -> None:
    network = q_network(
        Config(network=MLP(hidden_units=(5,)), agent=IQN(embedding=6, acting_quantiles=2)), vector_spec(3, A), seed=0
    )
    network.create_variables()
    w = random_weights(network.named_weights(), np.random.default_rng(2))
    network.load_named_weights(w)
    phi, tau = RNG.normal(size=(B, 3)).astype(np.float32), RNG.random((B, N)).astype(np.float32)
    c = np.cos(np.pi * np.arange(6) * tau[:, :, None])
    embedded = np.maximum(c @ w["embedding/kernel"] + w["embedding/bias"], 0)
    hidden = np.maximum((phi[:, None] * embedded) @ w["hidden_0/kernel"] + w["hidden_0/bias"], 0)
    expected = (hidden @ w["q/kernel"] + w["q/bias"]).transpose(0, 2, 1)
    assert isinstance(network.head, ImplicitQuantileHead)
    np.testing.assert_allclose(network.head.at(tf.constant(phi), tf.constant(tau)), expected, rtol=1e-4, atol=1e-5)


@equation(37, "tfdqn.agents.losses.qr_dqn.target_quantiles")
def test_equation_37_munchausens_quantiles() -> None:
    tau, alpha, floor = 0.5, 0.9, -1.0
    q = TARGET.mean(axis=2)
    pi = softmax(q / tau)
    bonus = alpha * np.clip(tau * np.log(pi[:B][ROWS, BATCH["action_tm1"]]), floor, 0)
    soft = (pi[B:, :, None] * (TARGET[B:] - tau * np.log(pi[B:, :, None]))).sum(axis=1)
    y = R[:, None] + bonus[:, None] + D[:, None] * soft
    delta = y[:, None, :] - ONLINE[:B][ROWS, BATCH["action_tm1"]][:, :, None]
    settings = QRDQN(quantiles=N, target="munchausen", temperature=tau, log_policy_scale=alpha, log_policy_floor=floor)
    found = of_tables(settings, ONLINE, TARGET, BATCH, None)
    np.testing.assert_allclose(found.td_error, np.abs(delta).mean(axis=(1, 2)), rtol=1e-5)


@equation(38, "tfdqn.agents.losses.td.td_target")
def test_equation_38_rescaled_targets() -> None:
    eps, v = 0.01, RNG.normal(scale=3, size=B).astype(np.float32)

    def h(x: np.ndarray) -> np.ndarray:
        return np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + eps * x

    def inverse(x: np.ndarray) -> np.ndarray:
        return np.sign(x) * (((np.sqrt(1 + 4 * eps * (np.abs(x) + 1 + eps)) - 1) / (2 * eps)) ** 2 - 1)

    wide = v.astype(float)
    np.testing.assert_allclose(td.rescaled(tf.constant(v), eps), h(wide), rtol=1e-5)
    np.testing.assert_allclose(td.unscaled(tf.constant(v), eps), inverse(wide), rtol=1e-5)
    batch = Batch({}, None, tf.constant(BATCH["action_tm1"]), tf.constant(R), tf.constant(D), {}, None)
    found = td.td_target(DQN(value_rescaling=eps), batch, tf.constant(v))
    np.testing.assert_allclose(found, h(R + D * inverse(wide)), rtol=1e-5, atol=1e-6)


@equation(39, "tfdqn.replay.horizon.Horizon.at")
def test_equation_39_schedules_of_n_and_the_discount() -> None:
    n, gamma, steps = (10, 3), (0.97, 0.997), 200
    for t in (0, 30, 100, 200, 1000):
        f = min(t / steps, 1)
        expected = round(n[0] * (n[1] / n[0]) ** f), 1 - (1 - gamma[0]) * ((1 - gamma[1]) / (1 - gamma[0])) ** f
        np.testing.assert_allclose(Horizon(n[0], gamma[0], n[1], gamma[1], steps).at(t), expected)
