"""Losses of several action dimensions against the paper's equations 6 to 8 in NumPy, on random, poisoned values."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import transitions, vector_spec
from tfdqn.agents.dqn import LossExtra
from tfdqn.agents.factory import make_agent
from tfdqn.config import DQN, PQN, Agent, Config, DoubleDQN, Ensemble, Linear
from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError
from tfdqn.networks.factory import q_network

COUNTS, STATES, SIZE, SCALE = (4, 2, 5), 12, 40, 3.0
BRANCHES = range(len(COUNTS))


def tables(rng: np.random.Generator, leading: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """Q of every state, [*leading, STATES, A_d] of each dimension."""
    return {
        f"theta_{d}/kernel": rng.normal(scale=5, size=(*leading, STATES, COUNTS[d])).astype(np.float32)
        for d in BRANCHES
    }


def q_of(table: dict[str, np.ndarray], d: int, state: int, member: int | None = None) -> np.ndarray:
    found = table[f"theta_{d}/kernel"]
    return (found if member is None else found[member])[state].astype(np.float64)


class Case:
    """Random transitions between states, and what the loss makes of them."""

    def __init__(self, settings: Agent, masks: bool, members: int = 1, **ensemble: Any):
        rng = np.random.default_rng(7)
        spec = vector_spec(STATES, COUNTS, action_masks=masks)
        shared = Ensemble(size=members, data="all", **ensemble) if members > 1 else Ensemble()
        self.agent = make_agent(Config(network=Linear(), agent=settings, ensemble=shared), spec)
        leading = (members,) if members > 1 else ()
        self.online, self.target = tables(rng, leading), tables(rng, leading)
        self.agent.network.load_named_weights(self.online)
        self.agent.target_network.load_named_weights(self.target)
        self.before, self.after = rng.integers(STATES, size=(2, SIZE))
        self.action = np.stack([rng.integers(count, size=SIZE) for count in COUNTS], axis=1)
        self.reward = rng.normal(scale=3, size=SIZE)
        self.discount = 0.81 * (rng.random(SIZE) < 0.7)  # two steps of 0.9, or the end
        self.weights = rng.random(SIZE).astype(np.float32)
        self.legal = np.zeros((SIZE, len(COUNTS), max(COUNTS)), bool)
        for b in range(SIZE):
            for d, count in enumerate(COUNTS):
                self.legal[b, d, rng.permutation(count)[: rng.integers(1, count + 1)]] = True
        eye = np.eye(STATES, dtype=np.float32)
        self.transition = transitions(
            spec,
            {"observation": eye[self.before]},
            self.action,
            self.reward,
            self.discount,
            {"observation": eye[self.after]},
            self.legal if masks else None,
        )
        if not masks:
            for d, count in enumerate(COUNTS):
                self.legal[:, d, :count] = True

    def loss(self) -> tuple[float, LossExtra, list[np.ndarray]]:
        weights = list(self.agent.network.named_weights().values())
        with tf.GradientTape() as tape:
            found = self.agent.loss(self.transition, weights=tf.constant(self.weights))
        return float(found.loss), found.extra, [each.numpy() for each in tape.gradient(found.loss, weights)]


def value_of(case: Case, b: int, is_double: bool, member: int | None = None) -> float:
    """1/D Σ_d Q⁻_d(s', a*_d): equation 6."""
    each = []
    for d, count in enumerate(COUNTS):
        legal = case.legal[b, d, :count]
        by = q_of(case.online if is_double else case.target, d, case.after[b], member)
        best = np.where(legal, by, -np.inf).argmax()
        each.append(q_of(case.target, d, case.after[b], member)[best])
    return float(np.mean(each))


def errors_of(case: Case, targets: np.ndarray, member: int | None = None) -> np.ndarray:
    """y − Q_d(s, a_d), [SIZE, D]."""
    return np.array(
        [
            [targets[b] - q_of(case.online, d, case.before[b], member)[case.action[b, d]] for d in BRANCHES]
            for b in range(SIZE)
        ]
    )


@pytest.mark.parametrize("masks", [False, True], ids=["all legal", "masks"])
@pytest.mark.parametrize("settings", [DQN(reward_scale=SCALE), DoubleDQN(reward_scale=SCALE)], ids=["dqn", "double"])
def test_one_target_for_all_dimensions_and_the_mean_of_their_losses(settings: Agent, masks: bool) -> None:
    case = Case(settings, masks)
    is_double = isinstance(settings, DoubleDQN)
    targets = np.array([SCALE * case.reward[b] + case.discount[b] * value_of(case, b, is_double) for b in range(SIZE)])
    errors = errors_of(case, targets)
    loss, extra, gradients = case.loss()
    np.testing.assert_allclose(loss, np.mean(case.weights * (errors**2 / 2).mean(axis=1)), rtol=1e-5)  # equation 7
    np.testing.assert_allclose(extra.priority, np.abs(errors).sum(axis=1), rtol=1e-4)  # equation 8
    np.testing.assert_allclose(extra.td_error, extra.priority)
    taken = [[q_of(case.online, d, case.before[b])[case.action[b, d]] for d in BRANCHES] for b in range(SIZE)]
    np.testing.assert_allclose(extra.q_value, np.mean(taken, axis=1), rtol=1e-4, atol=1e-4)
    best = [[q_of(case.online, d, case.before[b]).max() for d in BRANCHES] for b in range(SIZE)]
    np.testing.assert_allclose(extra.max_q_value, np.mean(best, axis=1), rtol=1e-4, atol=1e-4)
    for d, gradient in enumerate(gradients):  # −w δ / (B D) where a state's action was taken
        expected = np.zeros((STATES, COUNTS[d]))
        for b in range(SIZE):
            expected[case.before[b], case.action[b, d]] -= case.weights[b] * errors[b, d] / (SIZE * len(COUNTS))
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_hubers_loss_is_of_each_dimensions_error() -> None:
    case = Case(DQN(loss="huber", huber_delta=2.0), masks=False)
    targets = np.array([case.reward[b] + case.discount[b] * value_of(case, b, False) for b in range(SIZE)])
    absolute = np.abs(errors_of(case, targets))
    huber = np.where(absolute <= 2, absolute**2 / 2, 2 * (absolute - 1))
    np.testing.assert_allclose(case.loss()[0], np.mean(case.weights * huber.mean(axis=1)), rtol=1e-5)


def test_pqn_has_the_lambda_return_for_a_target() -> None:
    case = Case(PQN(), masks=False)
    loss, extra, _ = case.loss()
    errors = errors_of(case, case.reward)
    np.testing.assert_allclose(loss, np.mean(case.weights * (errors**2 / 2).mean(axis=1)), rtol=1e-5)
    np.testing.assert_allclose(extra.priority, np.abs(errors).sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("aggregation", ["mean", "minimum", "majority"])
def test_members_may_share_their_target(aggregation: str) -> None:
    """Of double DQN: the best action of each dimension by all online networks, its value by all target networks."""
    case = Case(DoubleDQN(), True, members=3, target="aggregate", aggregation=aggregation)
    targets = np.zeros(SIZE)
    for b in range(SIZE):
        each = []
        for d, count in enumerate(COUNTS):
            legal = case.legal[b, d, :count]
            by = np.where(legal, [q_of(case.online, d, case.after[b], k) for k in range(3)], -np.inf)
            values = np.array([q_of(case.target, d, case.after[b], k) for k in range(3)])
            mean = np.where(legal, by.mean(axis=0), -np.inf)
            votes = np.bincount(by.argmax(axis=1), minlength=count)
            chosen = {
                "mean": mean.argmax(),
                "minimum": by.min(axis=0).argmax(),
                "majority": np.where(votes == votes.max(), mean, -np.inf).argmax(),
            }[aggregation]
            each.append((values.min(axis=0) if aggregation == "minimum" else values.mean(axis=0))[chosen])
        targets[b] = case.reward[b] + case.discount[b] * np.mean(each)
    losses = [np.mean(case.weights * (errors_of(case, targets, k) ** 2 / 2).mean(axis=1)) for k in range(3)]
    loss, extra, _ = case.loss()
    np.testing.assert_allclose(loss, np.sum(losses), rtol=1e-5)
    sums = np.mean([np.abs(errors_of(case, targets, k)).sum(axis=1) for k in range(3)], axis=0)
    np.testing.assert_allclose(extra.priority, sums, rtol=1e-4)


def test_members_each_have_their_own_target() -> None:
    case = Case(DoubleDQN(), True, members=3)
    losses = []
    for k in range(3):
        values = [value_of(case, b, True, k) for b in range(SIZE)]
        losses.append(
            np.mean(case.weights * (errors_of(case, case.reward + case.discount * values, k) ** 2 / 2).mean(axis=1))
        )
    np.testing.assert_allclose(case.loss()[0], np.sum(losses), rtol=1e-5)


@pytest.mark.parametrize("kind", ["munchausen", "c51", "qr_dqn", "iqn"])
def test_other_objectives_are_refused_in_one_line(kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_mapping({"agent": {"kind": kind}, "task": {"action_form": "branches"}})
    assert str(caught.value) == (
        f'configuration: task.action_form = "branches" with agent.kind = "{kind}": Q-values of several action '
        'dimensions are learned by agent.kind = "dqn", "double_dqn" or "pqn"'
    )


def test_a_head_of_one_number_is_refused_by_the_network() -> None:
    config = from_mapping({"agent": {"kind": "c51"}})
    with pytest.raises(ConfigError, match="whose head has Q-values for each action dimension"):
        q_network(config, vector_spec(num_actions=COUNTS), seed=1)
