"""A memory with branches: where all dimensions are copies of one, the loss is that one's."""

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_weights, vector_spec
from tests.support.random_sequences import random_sequences
from tfdqn.agents.factory import make_agent
from tfdqn.agents.loss import Sequences
from tfdqn.config import MLP, Agent, Config, DoubleDQN, Replay

DIMENSIONS = 3
CONFIG = Config(
    network=MLP(hidden_units=(6, 5), memory="gru", memory_units=4),
    agent=DoubleDQN(n_step=2, value_rescaling=0.001),
    replay=Replay(item="sequence", burn_in=2, sequence_length=4, sequence_period=2),
)


def copied(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The stream once for each dimension."""
    found = {}
    for name, array in weights.items():
        layer, kind = name.split("/")
        stream = {"hidden_1": "q_{}_hidden_1", "q": "q_{}"}.get(layer)
        found |= {f"{stream.format(d)}/{kind}": array for d in range(DIMENSIONS)} if stream else {name: array}
    return found


def in_every_dimension(sequences: Sequences) -> Sequences:
    def repeated(array: tf.Tensor | None) -> tf.Tensor | None:
        return None if array is None else tf.stack([array] * DIMENSIONS, axis=2)

    return sequences._replace(
        action=repeated(sequences.action), legal_tm1=repeated(sequences.legal_tm1), legal_t=repeated(sequences.legal_t)
    )


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("settings", [CONFIG.agent, DoubleDQN(loss="huber")], ids=["rescaled", "huber"])
def test_copies_of_one_dimension_lose_what_it_loses(settings: Agent, masks: bool) -> None:
    config = msgspec.structs.replace(CONFIG, agent=settings)
    one = make_agent(config, vector_spec(3, 4, action_masks=masks))
    many = make_agent(config, vector_spec(3, [4] * DIMENSIONS, action_masks=masks))
    rng = np.random.default_rng(1)
    for alone, all_of_them in ((one.network, many.network), (one.target_network, many.target_network)):
        weights = random_weights(alone.named_weights(), rng)
        alone.load_named_weights(weights)
        all_of_them.load_named_weights(copied(weights))
    sequences = random_sequences(config, vector_spec(3, 4, action_masks=masks), 12, rng)
    importance = tf.constant(rng.random(12), tf.float32)
    expected = one.loss(sequences, weights=importance)
    found = many.loss(in_every_dimension(sequences), weights=importance)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
    np.testing.assert_allclose(found.extra.priority, DIMENSIONS * expected.extra.priority, rtol=1e-4)
    for name in ("q_value", "max_q_value"):
        np.testing.assert_allclose(getattr(found.extra, name), getattr(expected.extra, name), rtol=1e-4, atol=1e-5)
