"""The page's equations of what is written, how Q is represented and how is acted, transcribed into NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_weights, vector_spec
from tests.support.method_page import equation
from tfdqn.acting import exploration
from tfdqn.config import Boltzmann, Config, EpsilonGreedy, Linear
from tfdqn.networks.factory import q_network
from tfdqn.networks.torsos import linear
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.replay.replay_ratio import Balance, ReplayRatio
from tfdqn.types import Experience, Step

B, A, F = 6, 4, 3
SPEC = vector_spec(F, A)


def state(t: int) -> dict[str, np.ndarray]:
    return {"observation": np.full((1, F), t, np.float32)}


def one_step(t: int, reward: float, end: str = "") -> Step:
    """What one environment answers at time t; `end` says how the row ends an episode, or that it is a reset."""
    terminated, truncated, is_reset = (np.array([end == kind]) for kind in ("terminated", "truncated", "reset"))
    return Step(state(t + 1), np.array([reward], np.float32), terminated, truncated, is_reset, None)


@equation(3, "tfdqn.replay.n_step_writer.NStepWriter.write")
@pytest.mark.parametrize("n", [1, 3])
def test_equation_3_finished_transitions(n: int) -> None:
    """An episode of four steps that terminates and one of two that is truncated; states are their times."""
    gamma, codec = 0.5, TransitionCodec(SPEC)
    rows: list[np.ndarray] = []
    writer = NStepWriter(codec, 1, Horizon(n, gamma), lambda new: rows.append(codec.from_bytes(new).copy()))
    expected, begin = [], 0
    for length, end in ((4, "terminated"), (2, "truncated")):
        r = np.random.default_rng(length).normal(size=length).astype(np.float32)
        answers = [one_step(begin + t, r[t], end if t == length - 1 else "") for t in range(length)]
        answers.append(one_step(begin + length, 0.0, "reset"))
        for t, answer in enumerate(answers):
            writer.write(Experience(state(begin + t), None, np.array([0], np.int32), answer))
        for t in range(length):
            k = min(n, length - t)
            discount = 0 if end == "terminated" and t + k == length else gamma**k
            total = sum(gamma**i * r[t + i] for i in range(k))
            expected.append((begin + t, total, discount, begin + t + k))
        begin += length + 1
    got = [
        (row["observation/observation"][0], row["reward"], row["discount"], row["next_observation/observation"][0])
        for row in np.concatenate(rows)
    ]
    np.testing.assert_allclose(sorted(got), sorted(expected), rtol=1e-6)


@equation(14, "tfdqn.networks.torsos.linear.linear")
@pytest.mark.parametrize(("kind", "degree"), [("identity", 1), ("polynomial", 1), ("polynomial", 3)])
def test_equation_14_the_linear_network(kind: str, degree: int) -> None:
    s = np.random.default_rng(9).normal(size=(B, F)).astype(np.float32)
    network = q_network(Config(network=Linear(features=kind, degree=degree)), SPEC, seed=0)  # type: ignore[arg-type]
    network.create_variables()
    theta = random_weights(network.named_weights(), np.random.default_rng(1))
    network.load_named_weights(theta)
    phi = s
    if kind == "polynomial":
        exponents = [e for e in np.ndindex(*[degree + 1] * F) if sum(e) <= degree]
        phi = np.stack([np.prod(s ** np.array(e), axis=1) for e in exponents], axis=1)
        ours = linear.polynomial_numpy(s, linear.monomials(F, degree))
        order = [int(np.abs(phi - column[:, None]).sum(axis=0).argmin()) for column in ours.T]
        assert sorted(order) == list(range(len(exponents)))  # each monomial once, in an order of its own
        phi = phi[:, order]
    np.testing.assert_allclose(
        network({"observation": tf.constant(s)})[0], phi @ theta["theta/kernel"], rtol=1e-3, atol=1e-4
    )


@equation(16, "tfdqn.acting.exploration.scheduled")
@pytest.mark.parametrize("t", [0, 30, 100, 400])
def test_equation_16_the_schedule_of_exploration(t: int) -> None:
    f = min(t / 100, 1)
    straight = EpsilonGreedy(start=0.9, end=0.1, decay_env_steps=100)
    curved = Boltzmann(start=2.0, end=0.1, decay="exponential", decay_env_steps=100)
    assert exploration.scheduled(straight, t) == pytest.approx(0.9 + (0.1 - 0.9) * f)
    assert exploration.scheduled(curved, t) == pytest.approx(2.0 * (0.1 / 2.0) ** f)


@equation(17, "tfdqn.acting.exploration.ladder_exponents")
def test_equation_17_the_ladder() -> None:
    expected = [0.4 ** (1 + 7 * i / 9) for i in range(10)]
    np.testing.assert_allclose(0.4 ** exploration.ladder_exponents(10, 7.0), expected)


LEGAL = np.array([True, True, False, True])
Q = np.array([0.5, 1.0, 9.0, -1.0])


def frequencies(actions: np.ndarray) -> np.ndarray:
    return np.bincount(actions, minlength=A) / len(actions)


@equation(18, "tfdqn.acting.exploration.epsilon_greedy")
def test_equation_18_epsilon_greedy() -> None:
    n, epsilon = 40_000, 0.3
    expected = (1 - epsilon) * (np.arange(A) == np.where(LEGAL, Q, -np.inf).argmax()) + epsilon * LEGAL / 3
    actions = exploration.epsilon_greedy(
        np.tile(Q, (n, 1)), np.tile(LEGAL, (n, 1)), np.full(n, epsilon), np.random.default_rng(11)
    )
    np.testing.assert_allclose(frequencies(actions), expected, atol=4 * 0.5 / n**0.5)


@equation(19, "tfdqn.acting.exploration.boltzmann")
def test_equation_19_boltzmann() -> None:
    n, tau = 40_000, 0.7
    expected = np.where(LEGAL, np.exp(Q / tau), 0)
    expected /= expected.sum()
    actions = exploration.boltzmann(np.tile(Q, (n, 1)), np.tile(LEGAL, (n, 1)), tau, np.random.default_rng(12))
    np.testing.assert_allclose(frequencies(actions), expected, atol=4 * 0.5 / n**0.5)


@equation(20, "tfdqn.replay.replay_ratio.ReplayRatio.updates_owed")
@pytest.mark.parametrize(("transitions_written", "made"), [(0, 0), (99, 0), (100, 0), (1234, 40), (1239, 56)])
def test_equation_20_updates_owed(transitions_written: int, made: int) -> None:
    ratio = ReplayRatio(100, 20.0, 5, balance=Balance(transitions_written, 0, made))
    assert ratio.updates_owed() == max((transitions_written - 100) // 20, 0) - made
