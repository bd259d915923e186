"""The recurrent agent: its unrolls against plain ones, its loss against transitions one by one, padding out of all."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_weights, vector_spec
from tests.support.random_sequences import random_sequences
from tfdqn.agents.loss import Batch, LossNetwork, Networks, Sequences
from tfdqn.agents.losses import td
from tfdqn.agents.losses.table import LOSSES
from tfdqn.agents.recurrent import RecurrentAgent, mean_of_steps, sequence_error
from tfdqn.config import DQN, MLP, Agent, Config, DoubleDQN, Munchausen, Replay

B, BURN_IN, LENGTH, N = 7, 3, 5, 2
OBSERVATIONS = BURN_IN + LENGTH + N
SPEC = vector_spec(3, 4)
MASKED = vector_spec(3, 4, action_masks=True)


def settings(agent: Agent | None = None, memory: str = "lstm") -> Config:
    return Config(
        network=MLP(hidden_units=(6, 5), memory=memory, memory_units=4),
        agent=agent or DoubleDQN(n_step=N, reward_scale=0.5),
        replay=Replay(item="sequence", burn_in=BURN_IN, sequence_length=LENGTH, sequence_period=2),
    )


def agent_of(config: Config, rng: np.random.Generator, masks: bool = False) -> RecurrentAgent:
    """One whose networks differ, with large weights."""
    agent = RecurrentAgent(config, MASKED if masks else SPEC)
    for network in (agent.network, agent.target_network):
        network.load_named_weights(random_weights(network.named_weights(), rng))
    return agent


class Remembered(LossNetwork):
    """A network whose observations are numbers of moments, to each of which it walks by single steps from the stored
    state."""

    def __init__(self, network: Any, sequences: Sequences):
        super().__init__(network, None)
        self._sequences = sequences
        self._walks = [list(self._walk(row)) for row in range(B)]

    def outputs(self, observation: Any) -> tf.Tensor:
        moments = [self._walks[row][moment] for row, moment in observation["moments"]]
        return self.head.outputs(tf.concat(moments, axis=0), None)

    def _walk(self, row: int) -> Iterator[tf.Tensor | None]:
        """The features at each moment of a row; of those before its first, none."""
        first = int(self._sequences.first[row])
        yield from [None] * first
        state = self._sequences.state[row : row + 1]
        for t in range(first, OBSERVATIONS):
            seen = {"observation": self._sequences.observation["observation"][row : row + 1, t]}
            features, state = self._network.features(seen, state)
            if t == BURN_IN - 1:
                state = tf.stop_gradient(state)
            yield features


def expected_output(agent: RecurrentAgent, config: Config, sequences: Sequences) -> tuple[Any, list[int]]:
    """The loss of every step, each by a walk of its own, and which sequence it is of."""
    taken = np.argwhere(sequences.steps.numpy() > 0).tolist()
    rows = [row for row, _ in taken]

    def of_steps(array: tf.Tensor | None) -> tf.Tensor | None:
        return None if array is None else tf.gather_nd(array, taken)

    k = sequences.steps.numpy()
    batch = Batch(
        {"moments": [(row, BURN_IN + i) for row, i in taken]},
        of_steps(sequences.legal_tm1),
        of_steps(sequences.action),
        config.agent.reward_scale * of_steps(sequences.reward),
        of_steps(sequences.discount),
        {"moments": [(row, BURN_IN + i + k[row, i]) for row, i in taken]},
        of_steps(sequences.legal_t),
    )
    networks = Networks(
        Remembered(agent.network, sequences), Remembered(agent.target_network, sequences), td.greedy_value
    )
    return LOSSES.of(config.agent)(config.agent, networks, batch), rows


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("memory", ["lstm", "gru"])
@pytest.mark.parametrize(
    "objective",
    [DQN(n_step=N), DoubleDQN(n_step=N, reward_scale=0.5), Munchausen(n_step=N, loss="huber")],
    ids=lambda each: type(each).__name__,
)
def test_loss_and_gradient_are_those_of_single_steps(objective: Agent, memory: str, masks: bool) -> None:
    """Stored state, burn-in and one loop over the rest, against a walk of single steps to each end of each step."""
    rng = np.random.default_rng(1)
    config = settings(objective, memory)
    agent = agent_of(config, rng, masks)
    sequences = random_sequences(config, MASKED if masks else SPEC, B, rng)
    weights = tf.constant(rng.random(B), tf.float32)
    variables = list(agent.network.named_weights().values())
    with tf.GradientTape() as tape:
        found = agent.loss(sequences, weights=weights)
    gradient = tape.gradient(found.loss, variables)
    with tf.GradientTape() as tape:
        expected, rows = expected_output(agent, config, sequences)
        of_sequence = [tf.reduce_mean(tf.boolean_mask(expected.loss, np.array(rows) == row)) for row in range(B)]
        loss = tf.reduce_mean(weights * tf.stack(of_sequence))
    expected_gradient = tape.gradient(loss, variables)
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
    for one, other in zip(gradient, expected_gradient, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)

    errors = [np.abs(expected.td_error.numpy()[np.array(rows) == row]) for row in range(B)]
    priorities = [0.9 * each.max() + 0.1 * each.mean() for each in errors]
    np.testing.assert_allclose(found.extra.priority, priorities, rtol=1e-4)
    np.testing.assert_allclose(found.extra.td_error, [each.mean() for each in errors], rtol=1e-4)
    for row in range(B):
        mine = np.array(rows) == row
        np.testing.assert_allclose(found.extra.max_q_value[row], expected.q_tm1.numpy()[mine].max(), rtol=1e-4)
        np.testing.assert_allclose(
            found.extra.q_value[row], expected.q_value.numpy()[mine].mean(), rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("memory", ["lstm", "gru"])
def test_from_a_stored_state_features_are_those_of_one_long_unroll(memory: str) -> None:
    """Where no weight has changed since the state was stored: over an episode of forty steps."""
    rng = np.random.default_rng(2)
    config = settings(memory=memory)
    network = agent_of(config, rng).network
    episode = {"observation": tf.constant(rng.normal(size=(1, 40, 3)), tf.float32)}
    nothing = tf.zeros([1, config.network.state_size])
    whole, _ = network.unroll(episode, nothing, tf.zeros(1, tf.int32))
    states = [nothing]
    for t in range(40):
        _, state = network.features({"observation": episode["observation"][:, t]}, states[-1])
        states.append(state)
    for start in (7, 20, 30):
        part = {"observation": episode["observation"][:, start:]}
        features, _ = network.unroll(part, states[start], tf.zeros(1, tf.int32))
        np.testing.assert_allclose(features, whole[:, start:], atol=1e-6)


def test_padding_has_no_part_in_anything() -> None:
    rng = np.random.default_rng(3)
    config = settings()
    agent, sequences = agent_of(config, rng), random_sequences(config, SPEC, B, np.random.default_rng(4))
    other = random_sequences(config, SPEC, B, np.random.default_rng(5))
    k, first = sequences.steps.numpy(), sequences.first.numpy()
    is_step, seen = k > 0, np.arange(OBSERVATIONS)
    last = (BURN_IN + np.arange(LENGTH) + k).max(axis=1, where=is_step, initial=0)
    is_seen = (seen >= first[:, None]) & (seen <= last[:, None])
    changed = sequences._replace(
        observation={
            "observation": tf.where(is_seen[..., None], *(x.observation["observation"] for x in (sequences, other)))
        },
        action=tf.where(is_step, sequences.action, other.action),
        reward=tf.where(is_step, sequences.reward, 1e6),
        discount=tf.where(is_step, sequences.discount, 1.0),
    )
    assert not is_step.all() and not is_seen.all()
    found, same = agent.loss(sequences), agent.loss(changed)
    np.testing.assert_allclose(found.loss, same.loss, rtol=1e-6)
    for name in ("priority", "td_error", "q_value", "max_q_value"):
        np.testing.assert_allclose(getattr(found.extra, name), getattr(same.extra, name), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [DQN, DoubleDQN])
def test_padding_without_a_legal_action_leaves_gradients_finite(kind: type[Agent]) -> None:
    config = settings(kind(n_step=N, value_rescaling=1e-3))  # type: ignore[call-arg]
    agent = agent_of(config, np.random.default_rng(1), masks=True)
    sequences = random_sequences(config, MASKED, B, np.random.default_rng(4))
    is_step = (sequences.steps > 0)[..., None]
    padded = sequences._replace(legal_tm1=sequences.legal_tm1 & is_step, legal_t=sequences.legal_t & is_step)
    assert not is_step.numpy().all()
    weights = list(agent.network.named_weights().values())
    found = []
    for each in (sequences, padded):
        with tf.GradientTape() as tape:
            loss = agent.loss(each).loss
        found.append(tape.gradient(loss, weights))
    for whole, gradient in zip(*found, strict=True):
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(gradient, whole, rtol=1e-5, atol=1e-6)


def test_what_a_sequence_is_told_by() -> None:
    is_step = tf.constant([[True, True, False], [True, False, False]])
    errors = tf.constant([[-3.0, 1.0, 100.0], [2.0, 7.0, 7.0]])
    np.testing.assert_allclose(mean_of_steps(errors, is_step), [-1, 2])
    # 0.9 · 3 + 0.1 · (3 + 1) / 2, and 0.9 · 2 + 0.1 · 2.
    np.testing.assert_allclose(sequence_error(errors, is_step), [2.9, 2.0], rtol=1e-6)
