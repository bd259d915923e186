"""docs/method.md against the code: every function it names exists, and every numbered equation is the function's.

Each test below is the transcription of one equation into NumPy.
"""

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.agents.batches import random_weights, transitions, vector_spec
from tfdqn import exploration
from tfdqn.agents import DqnAgent, td
from tfdqn.config import MLP, SGD, Adam, Agent, Boltzmann, Config, EpsilonGreedy, Linear, RMSprop
from tfdqn.config import Optimizer as OptimizerSettings
from tfdqn.learning.optimizers import learning_rate_schedule, make_optimizer
from tfdqn.learning.train_step import TrainStep
from tfdqn.networks import features, q_network
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.items import Sample
from tfdqn.replay.writer import NStepWriter
from tfdqn.replay_ratio import ReplayRatio
from tfdqn.tasks.batched import Step

PAGE = (Path(__file__).parents[1] / "docs" / "method.md").read_text(encoding="utf-8")
B, A, F = 6, 4, 3
SPEC = vector_spec(F, A)
RNG = np.random.default_rng(1)
R, D = RNG.normal(size=B), np.array([0.9, 0.9, 0, 0.81, 0, 0.9])
Q_TARGET, Q_ONLINE = RNG.normal(size=(2, B, A))
DELTA = np.array([-3.0, -1.0, -0.2, 0.0, 0.7, 2.5])
VERIFIED: dict[int, str] = {}

Test = Callable[..., None]


def equation(number: int, function: str) -> Callable[[Test], Test]:
    """Marks the test that holds this equation against this function."""

    def mark(test: Test) -> Test:
        assert number not in VERIFIED
        VERIFIED[number] = function
        return test

    return mark


def f32(array: object) -> tf.Tensor:
    return tf.constant(array, tf.float32)


def resolve(dotted: str) -> object:
    parts = dotted.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for name in parts[split:]:
            found = getattr(found, name)
        return found
    raise AssertionError(f"{dotted} does not exist")


def test_every_function_that_the_page_names_exists() -> None:
    names = set(re.findall(r"`(tfdqn\.[\w.]+)`", PAGE))
    assert len(names) > 15
    for name in names:
        assert callable(resolve(name)), name


def test_every_key_that_the_page_names_is_in_the_configuration() -> None:
    configs = [Config(), Config(network=Linear(), optimizer=RMSprop())]
    sections = "agent|optimizer|network|replay|learner|exploration"
    for section, key in set(re.findall(rf"`({sections})\.(\w+)[` ]", PAGE)):
        assert key == "kind" or any(hasattr(getattr(each, section), key) for each in configs), key


def test_every_numbered_equation_is_verified_against_a_function_that_the_page_names() -> None:
    numbers = [int(number) for number in re.findall(r"\\tag\{(\d+)\}", PAGE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert VERIFIED.keys() == set(numbers)
    for number, function in VERIFIED.items():
        assert f"`{function}`" in PAGE, f"equation {number}: {function}"


def batch(rng: np.random.Generator) -> tuple[Sample, dict[str, np.ndarray]]:
    arrays: dict[str, np.ndarray] = {
        "phi_tm1": rng.normal(size=(B, F)).astype(np.float32),
        "phi_t": rng.normal(size=(B, F)).astype(np.float32),
        "a": rng.integers(A, size=B),
        "R": rng.normal(scale=3, size=B),
        "w": rng.random(B),
    }
    transition = transitions(
        SPEC,
        {"observation": arrays["phi_tm1"]},
        arrays["a"],
        arrays["R"],
        D,
        {"observation": arrays["phi_t"]},
    )
    return Sample(transition, f32(arrays["w"]), None), arrays


def linear(**agent: object) -> tuple[TrainStep, tf.Variable, tf.Variable]:
    """A train step of the linear network by SGD with rate 0.1, θ and θ⁻ random and different."""
    config = Config(network=Linear(), optimizer=SGD(learning_rate=0.1), agent=Agent(**agent))  # type: ignore[arg-type]
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
    np.testing.assert_allclose(
        step.agent.loss(sample.transition, weights=sample.weights).loss, expected, rtol=1e-5
    )


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


def state(t: int) -> dict[str, np.ndarray]:
    return {"observation": np.full((1, F), t, np.float32)}


def one_step(t: int, reward: float, end: str = "") -> Step:
    """What one environment answers at time t; `end` says how the row ends an episode, or that it is a reset."""
    terminated, truncated, is_reset = (
        np.array([end == kind]) for kind in ("terminated", "truncated", "reset")
    )
    return Step(state(t + 1), np.array([reward], np.float32), terminated, truncated, is_reset, None)


@equation(3, "tfdqn.replay.writer.NStepWriter.write")
@pytest.mark.parametrize("n", [1, 3])
def test_equation_3_finished_transitions(n: int) -> None:
    """An episode of four steps that terminates and one of two that is truncated; states are their times."""
    gamma, codec = 0.5, TransitionCodec(SPEC)
    rows: list[np.ndarray] = []
    writer = NStepWriter(codec, 1, n, gamma, lambda new: rows.append(codec.from_bytes(new).copy()))
    expected, begin = [], 0
    for length, end in ((4, "terminated"), (2, "truncated")):
        r = np.random.default_rng(length).normal(size=length).astype(np.float32)
        answers = [one_step(begin + t, r[t], end if t == length - 1 else "") for t in range(length)]
        answers.append(one_step(begin + length, 0.0, "reset"))
        for t, answer in enumerate(answers):
            writer.write(state(begin + t), None, np.array([0], np.int32), answer)
        for t in range(length):
            k = min(n, length - t)
            discount = 0 if end == "terminated" and t + k == length else gamma**k
            total = sum(gamma**i * r[t + i] for i in range(k))
            expected.append((begin + t, total, discount, begin + t + k))
        begin += length + 1
    got = [
        (
            row["observation/observation"][0],
            row["reward"],
            row["discount"],
            row["next_observation/observation"][0],
        )
        for row in np.concatenate(rows)
    ]
    np.testing.assert_allclose(sorted(got), sorted(expected), rtol=1e-6)


@equation(4, "tfdqn.agents.td.q_learning_target")
def test_equation_4_the_dqn_target() -> None:
    expected = R + D * Q_TARGET.max(axis=1)
    np.testing.assert_allclose(td.q_learning_target(f32(R), f32(D), f32(Q_TARGET)), expected, rtol=1e-5)


@equation(5, "tfdqn.agents.td.double_q_target")
def test_equation_5_the_double_dqn_target() -> None:
    expected = R + D * Q_TARGET[np.arange(B), Q_ONLINE.argmax(axis=1)]
    target = td.double_q_target(f32(R), f32(D), f32(Q_TARGET), f32(Q_ONLINE))
    np.testing.assert_allclose(target, expected, rtol=1e-5)


@equation(6, "tfdqn.agents.td.squared_loss")
def test_equation_6_the_squared_loss() -> None:
    np.testing.assert_allclose(td.squared_loss(f32(DELTA)), DELTA**2 / 2, rtol=1e-6)


@equation(7, "tfdqn.agents.td.huber_loss")
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
    config = Config(
        network=MLP(hidden_units=(5,)), optimizer=SGD(learning_rate=1.0), agent=Agent(gradient_clip_norm=c)
    )
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
OPTIMIZER = "tfdqn.learning.optimizers.make_optimizer"


@equation(10, OPTIMIZER)
@pytest.mark.parametrize("mu", [0.0, 0.9])
def test_equation_10_sgd(mu: float) -> None:
    theta, v, expected = np.zeros(3), np.zeros(3), []
    for g in GRADIENTS:
        v = mu * v - 0.1 * g
        theta = theta + v
        expected.append(theta)
    np.testing.assert_allclose(applied(SGD(learning_rate=0.1, momentum=mu), GRADIENTS), expected, rtol=1e-5)


@equation(11, OPTIMIZER)
def test_equation_11_adam() -> None:
    theta, m, u, expected = np.zeros(3), np.zeros(3), np.zeros(3), []
    for t, g in enumerate(GRADIENTS, start=1):
        m, u = 0.8 * m + 0.2 * g, 0.9 * u + 0.1 * g**2
        theta = theta - 0.1 * np.sqrt(1 - 0.9**t) / (1 - 0.8**t) * m / (np.sqrt(u) + 0.3)
        expected.append(theta)
    settings = Adam(learning_rate=0.1, beta_1=0.8, beta_2=0.9, epsilon=0.3)
    np.testing.assert_allclose(applied(settings, GRADIENTS), expected, rtol=1e-5)


@equation(12, OPTIMIZER)
@pytest.mark.parametrize("mu", [0.0, 0.6])
@pytest.mark.parametrize("centered", [True, False])
def test_equation_12_rmsprop(mu: float, centered: bool) -> None:
    theta, q, m, v, expected = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), []
    for g in GRADIENTS:
        q, m = 0.95 * q + 0.05 * g**2, 0.95 * m + 0.05 * g
        v = mu * v + 0.1 * g / np.sqrt(q - centered * m**2 + 0.01)
        theta = theta - v
        expected.append(theta)
    settings = RMSprop(learning_rate=0.1, momentum=mu, centered=centered)
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


@equation(14, "tfdqn.networks.torsos.linear")
@pytest.mark.parametrize(("kind", "degree"), [("identity", 1), ("polynomial", 1), ("polynomial", 3)])
def test_equation_14_the_linear_network(kind: str, degree: int) -> None:
    s = np.random.default_rng(9).normal(size=(B, F)).astype(np.float32)
    network = q_network(Linear(features=kind, degree=degree), SPEC, seed=0)  # type: ignore[arg-type]
    network.create_variables()
    theta = random_weights(network.named_weights(), RNG)
    network.load_named_weights(theta)
    phi = s
    if kind == "polynomial":
        exponents = [e for e in np.ndindex(*[degree + 1] * F) if sum(e) <= degree]
        phi = np.stack([np.prod(s ** np.array(e), axis=1) for e in exponents], axis=1)
        ours = features.polynomial_numpy(s, features.monomials(F, degree))
        order = [int(np.abs(phi - column[:, None]).sum(axis=0).argmin()) for column in ours.T]
        assert sorted(order) == list(range(len(exponents)))  # each monomial once, in an order of its own
        phi = phi[:, order]
    np.testing.assert_allclose(
        network({"observation": f32(s)})[0], phi @ theta["theta/kernel"], rtol=1e-3, atol=1e-4
    )


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
        step(Sample(taken, None, None))
        error = r + gamma * (phi_next @ expected).max() - phi @ expected[:, a]
        expected[:, a] += alpha * error * phi
        np.testing.assert_allclose(theta, expected, atol=1e-5)


@equation(16, "tfdqn.exploration.scheduled")
@pytest.mark.parametrize("t", [0, 30, 100, 400])
def test_equation_16_the_schedule_of_exploration(t: int) -> None:
    f = min(t / 100, 1)
    straight = EpsilonGreedy(start=0.9, end=0.1, decay_env_steps=100)
    curved = Boltzmann(start=2.0, end=0.1, decay="exponential", decay_env_steps=100)
    assert exploration.scheduled(straight, t) == pytest.approx(0.9 + (0.1 - 0.9) * f)
    assert exploration.scheduled(curved, t) == pytest.approx(2.0 * (0.1 / 2.0) ** f)


@equation(17, "tfdqn.exploration.ladder_exponents")
def test_equation_17_the_ladder() -> None:
    expected = [0.4 ** (1 + 7 * i / 9) for i in range(10)]
    np.testing.assert_allclose(0.4 ** exploration.ladder_exponents(10, 7.0), expected)


LEGAL = np.array([True, True, False, True])
Q = np.array([0.5, 1.0, 9.0, -1.0])


def frequencies(actions: np.ndarray) -> np.ndarray:
    return np.bincount(actions, minlength=A) / len(actions)


@equation(18, "tfdqn.exploration.epsilon_greedy")
def test_equation_18_epsilon_greedy() -> None:
    n, epsilon = 40_000, 0.3
    expected = (1 - epsilon) * (np.arange(A) == np.where(LEGAL, Q, -np.inf).argmax()) + epsilon * LEGAL / 3
    actions = exploration.epsilon_greedy(
        np.tile(Q, (n, 1)), np.tile(LEGAL, (n, 1)), np.full(n, epsilon), np.random.default_rng(11)
    )
    np.testing.assert_allclose(frequencies(actions), expected, atol=4 * 0.5 / n**0.5)


@equation(19, "tfdqn.exploration.boltzmann")
def test_equation_19_boltzmann() -> None:
    n, tau = 40_000, 0.7
    expected = np.where(LEGAL, np.exp(Q / tau), 0)
    expected /= expected.sum()
    actions = exploration.boltzmann(
        np.tile(Q, (n, 1)), np.tile(LEGAL, (n, 1)), tau, np.random.default_rng(12)
    )
    np.testing.assert_allclose(frequencies(actions), expected, atol=4 * 0.5 / n**0.5)


@equation(20, "tfdqn.replay_ratio.ReplayRatio.updates_owed")
@pytest.mark.parametrize(("transitions_written", "made"), [(0, 0), (99, 0), (100, 0), (1234, 40), (1239, 56)])
def test_equation_20_updates_owed(transitions_written: int, made: int) -> None:
    ratio = ReplayRatio(100, 20.0, 5, transitions=transitions_written, train_steps=made)
    assert ratio.updates_owed() == max((transitions_written - 100) // 20, 0) - made
