"""The page's equations of the loss and of the update, each transcribed into NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_weights, transitions, vector_spec
from tests.support.method_page import equation
from tfdqn.agents.dqn import DqnAgent
from tfdqn.agents.loss import Batch, Networks
from tfdqn.agents.losses import td
from tfdqn.agents.losses.munchausen import log_policy_of_action
from tfdqn.agents.losses.table import LOSSES
from tfdqn.config import DQN, MLP, SGD, Adam, Agent, Config, DoubleDQN, Linear, Munchausen, RMSprop
from tfdqn.config import Optimizer as OptimizerSettings
from tfdqn.learning.optimizers import learning_rate_schedule, make_optimizer
from tfdqn.learning.train_step import TrainStep
from tfdqn.replay.interfaces import Sample

B, A, F = 6, 4, 3
SPEC = vector_spec(F, A)
RNG = np.random.default_rng(1)
R, D = RNG.normal(size=B), np.array([0.9, 0.9, 0, 0.81, 0, 0.9])
Q_TARGET, Q_ONLINE = RNG.normal(size=(2, B, A))
Q_TARGET_TM1, A_TM1 = np.random.default_rng(7).normal(size=(B, A)), np.array([0, 3, 1, 2, 2, 0])
DELTA = np.array([-3.0, -1.0, -0.2, 0.0, 0.7, 2.5])


def f32(array: object) -> tf.Tensor:
    return tf.constant(array, tf.float32)


def batch(rng: np.random.Generator) -> tuple[Sample, dict[str, np.ndarray]]:
    arrays: dict[str, np.ndarray] = {
        "phi_tm1": rng.normal(size=(B, F)).astype(np.float32),
        "phi_t": rng.normal(size=(B, F)).astype(np.float32),
        "a": rng.integers(A, size=B),
        "R": rng.normal(scale=3, size=B),
        "w": rng.random(B),
    }
    transition = transitions(
        SPEC, {"observation": arrays["phi_tm1"]}, arrays["a"], arrays["R"], D, {"observation": arrays["phi_t"]}
    )
    return Sample(transition, f32(arrays["w"])), arrays


def linear(**agent: object) -> tuple[TrainStep, tf.Variable, tf.Variable]:
    """A train step of the linear network by SGD with rate 0.1, θ and θ⁻ random and different."""
    config = Config(network=Linear(), optimizer=SGD(learning_rate=0.1), agent=DQN(**agent))  # type: ignore[arg-type]
    step = TrainStep(DqnAgent(config, SPEC), config)
    for network in (step.agent.network, step.agent.target_network):
        network.load_named_weights(random_weights(network.named_weights(), np.random.default_rng(2)))
    (theta,) = step.agent.network.named_weights().values()
    (target,) = step.agent.target_network.named_weights().values()
    target.assign(target + 0.5 * np.random.default_rng(3).normal(size=target.shape))
    return step, theta, target


def td_errors(b: dict[str, np.ndarray], theta: np.ndarray, target: np.ndarray) -> np.ndarray:
    return b["R"] + D * (b["phi_t"] @ target).max(axis=1) - (b["phi_tm1"] @ theta)[np.arange(B), b["a"]]


@equation(1, "tfdqn.agents.dqn.DqnAgent._loss")
def test_equation_1_the_objective() -> None:
    step, theta, target = linear()
    sample, b = batch(np.random.default_rng(4))
    delta = td_errors(b, theta.numpy(), target.numpy())
    expected = (b["w"] * delta**2 / 2).sum() / B
    np.testing.assert_allclose(step.agent.loss(sample.transition, weights=sample.weights).loss, expected, rtol=1e-5)


@equation(2, "tfdqn.learning.train_step.TrainStep.gradients")
def test_equation_2_the_sum_over_sub_spaces_that_share_their_parameters() -> None:
    """The gradients of K shards' own means, with p_k = 1 / K, add up to the global batch's."""
    step, _, _ = linear()
    sample, _ = batch(np.random.default_rng(5))
    (whole,), _ = step.gradients(sample)
    total = np.zeros(whole.shape)
    for k in range(3):
        shard = tf.nest.map_structure(lambda x, k=k: None if x is None else x[2 * k : 2 * k + 2], sample)
        (gradient,), _ = step.gradients(shard)
        total += gradient.numpy() / 3
    np.testing.assert_allclose(whole, total, atol=1e-6)


def target_of(settings: Agent) -> np.ndarray:
    """What a loss moves Q(s, a) towards, by tables of Q-values: of s they are 3."""
    tables = {"s": np.full_like(Q_ONLINE, 3), "s'": Q_ONLINE, "target s": Q_TARGET_TM1, "target s'": Q_TARGET}
    networks = Networks(
        lambda state: f32(tables[state]),  # type: ignore[arg-type, return-value]
        lambda state: f32(tables[f"target {state}"]),  # type: ignore[arg-type, return-value]
        td.greedy_value,
    )
    batch = Batch("s", None, tf.constant(A_TM1), f32(R), f32(D), "s'", None)  # type: ignore[arg-type]
    output = LOSSES.of(settings)(settings, networks, batch)
    np.testing.assert_array_equal(output.q_value, [3] * B)
    return (output.td_error + output.q_value).numpy()


@equation(4, "tfdqn.agents.losses.dqn.dqn")
def test_equation_4_the_dqn_target() -> None:
    np.testing.assert_allclose(target_of(DQN()), R + D * Q_TARGET.max(axis=1), rtol=1e-5)


@equation(5, "tfdqn.agents.losses.double_dqn.double_dqn")
def test_equation_5_the_double_dqn_target() -> None:
    expected = R + D * Q_TARGET[np.arange(B), Q_ONLINE.argmax(axis=1)]
    np.testing.assert_allclose(target_of(DoubleDQN()), expected, rtol=1e-5)


@equation(26, "tfdqn.agents.losses.munchausen.log_policy_of_action")
def test_equation_26_the_scaled_log_policy() -> None:
    policy = np.exp(Q_TARGET_TM1 / 0.3) / np.exp(Q_TARGET_TM1 / 0.3).sum(axis=1, keepdims=True)
    found = log_policy_of_action(f32(Q_TARGET_TM1), tf.constant(A_TM1), None, 0.3)
    np.testing.assert_allclose(found, 0.3 * np.log(policy)[np.arange(B), A_TM1], rtol=1e-4)


@equation(27, "tfdqn.agents.losses.munchausen.munchausen")
def test_equation_27_the_munchausen_target() -> None:
    def log_policy(q: np.ndarray) -> np.ndarray:
        return np.log(np.exp(q / 0.3) / np.exp(q / 0.3).sum(axis=1, keepdims=True))

    bonus = np.clip(0.3 * log_policy(Q_TARGET_TM1)[np.arange(B), A_TM1], -0.5, 0)
    assert {-0.5} < set(bonus.tolist())  # some are clipped, not all
    after = log_policy(Q_TARGET)
    value = (np.exp(after) * (Q_TARGET - 0.3 * after)).sum(axis=1)
    settings = Munchausen(temperature=0.3, log_policy_floor=-0.5, log_policy_scale=0.8)
    np.testing.assert_allclose(target_of(settings), R + 0.8 * bonus + D * value, rtol=1e-4, atol=1e-5)


@equation(6, "tfdqn.agents.losses.td.squared_loss")
def test_equation_6_the_squared_loss() -> None:
    np.testing.assert_allclose(td.squared_loss(f32(DELTA)), DELTA**2 / 2, rtol=1e-6)


@equation(7, "tfdqn.agents.losses.td.huber_loss")
@pytest.mark.parametrize("kappa", [0.5, 1.0, 2.0])
def test_equation_7_the_huber_loss(kappa: float) -> None:
    size = np.abs(DELTA)
    expected = np.where(size <= kappa, DELTA**2 / 2, kappa * (size - kappa / 2))
    np.testing.assert_allclose(td.huber_loss(f32(DELTA), kappa), expected, rtol=1e-6)


@equation(8, "tfdqn.learning.optimizers.learning_rate_schedule")
@pytest.mark.parametrize("t", [0, 3, 10, 50])
def test_equation_8_the_learning_rate(t: int) -> None:
    start, end, steps = 0.1, 0.001, 10
    f = min(t / steps, 1)
    for schedule, expected in {
        "constant": start,
        "linear": start + (end - start) * f,
        "exponential": start * (end / start) ** f,
    }.items():
        rate = learning_rate_schedule(
            SGD(learning_rate=start, end_learning_rate=end, decay_train_steps=steps, schedule=schedule)  # type: ignore[arg-type]
        )
        np.testing.assert_allclose(rate(tf.constant(t)) if callable(rate) else rate, expected, rtol=1e-5)


@equation(9, "tfdqn.learning.train_step.TrainStep.__call__")
@pytest.mark.parametrize("c", [0.1, 1e6])
def test_equation_9_clipping_by_global_norm(c: float) -> None:
    config = Config(network=MLP(hidden_units=(5,)), optimizer=SGD(learning_rate=1.0), agent=DQN(gradient_clip_norm=c))
    step = TrainStep(DqnAgent(config, SPEC), config)
    sample, _ = batch(np.random.default_rng(7))
    g, _ = step.gradients(sample)
    weights = list(step.agent.network.named_weights().values())
    before = [weight.numpy() for weight in weights]
    step(sample)
    norm = np.sqrt(sum((each.numpy() ** 2).sum() for each in g))
    for weight, old, each in zip(weights, before, g, strict=True):
        np.testing.assert_allclose(old - weight, each * min(1, c / norm), atol=1e-6)


def applied(settings: OptimizerSettings, gradients: np.ndarray) -> np.ndarray:
    """θ after each gradient, from θ = 0."""
    optimizer, theta, history = make_optimizer(settings), tf.Variable(tf.zeros(gradients.shape[1])), []
    for g in gradients:
        optimizer.apply_gradients([(f32(g), theta)])
        history.append(theta.numpy())
    return np.array(history)


GRADIENTS = np.random.default_rng(8).normal(size=(4, 3))


@equation(10, "tfdqn.learning.optimizers.make_optimizer")
@pytest.mark.parametrize("mu", [0.0, 0.9])
def test_equation_10_sgd(mu: float) -> None:
    theta, v, expected = np.zeros(3), np.zeros(3), []
    for g in GRADIENTS:
        v = mu * v - 0.1 * g
        theta = theta + v
        expected.append(theta)
    np.testing.assert_allclose(applied(SGD(learning_rate=0.1, momentum=mu), GRADIENTS), expected, rtol=1e-5)


@equation(11, "tfdqn.learning.optimizers.make_optimizer")
def test_equation_11_adam() -> None:
    theta, m, u, expected = np.zeros(3), np.zeros(3), np.zeros(3), []
    for t, g in enumerate(GRADIENTS, start=1):
        m, u = 0.8 * m + 0.2 * g, 0.9 * u + 0.1 * g**2
        theta = theta - 0.1 * np.sqrt(1 - 0.9**t) / (1 - 0.8**t) * m / (np.sqrt(u) + 0.3)
        expected.append(theta)
    settings = Adam(learning_rate=0.1, beta_1=0.8, beta_2=0.9, epsilon=0.3)
    np.testing.assert_allclose(applied(settings, GRADIENTS), expected, rtol=1e-5)


@equation(12, "tfdqn.learning.optimizers.make_optimizer")
@pytest.mark.parametrize("mu", [0.0, 0.6])
@pytest.mark.parametrize("centered", [True, False])
def test_equation_12_rmsprop(mu: float, centered: bool) -> None:
    theta, q, m, v, expected = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), []
    for g in GRADIENTS:
        q, m = 0.95 * q + 0.05 * g**2, 0.95 * m + 0.05 * g
        v = mu * v + 0.1 * g / np.sqrt(q - centered * m**2 + 0.01)
        theta = theta - v
        expected.append(theta)
    settings = RMSprop(learning_rate=0.1, momentum=mu, epsilon=0.01, centered=centered)
    np.testing.assert_allclose(applied(settings, GRADIENTS), expected, rtol=1e-5)


@equation(13, "tfdqn.learning.train_step.TrainStep.__call__")
@pytest.mark.parametrize("tau", [1.0, 0.3])
def test_equation_13_the_target_update(tau: float) -> None:
    step, theta, target = linear(target_update_period_train_steps=2, target_update_tau=tau)
    held = target.numpy()
    for t in range(1, 5):
        step(batch(np.random.default_rng(t))[0])
        if t % 2 == 0:
            held = held + tau * (theta.numpy() - held)
        np.testing.assert_allclose(target, held, atol=1e-6)


@equation(15, "tfdqn.learning.train_step.TrainStep.__call__")
def test_equation_15_q_learning_with_linear_functions() -> None:
    step, theta, target = linear(gradient_clip_norm=0.0, target_update_period_train_steps=1)
    target.assign(theta)
    expected = theta.numpy().astype(float)
    rng, alpha, gamma = np.random.default_rng(10), 0.1, 0.9
    for _ in range(5):
        phi, phi_next = rng.normal(size=(2, F)).astype(np.float32)
        a, r = int(rng.integers(A)), float(rng.normal())
        now, after = {"observation": phi[None]}, {"observation": phi_next[None]}
        taken = transitions(SPEC, now, np.array([a]), np.array([r]), np.array([gamma]), after)
        step(Sample(taken, None))
        error = r + gamma * (phi_next @ expected).max() - phi @ expected[:, a]
        expected[:, a] += alpha * error * phi
        np.testing.assert_allclose(theta, expected, atol=1e-5)
