"""Random sequences, as replay hands them out to an agent with a memory, with rubbish in every padding."""

import numpy as np
import tensorflow as tf

from tests.support.batches import observations
from tfdqn.agents.loss import Sequences
from tfdqn.config import Config
from tfdqn.task_spec import TaskSpec


def random_sequences(config: Config, spec: TaskSpec, count: int, rng: np.random.Generator) -> Sequences:
    """So many: of each third one begins within its burn-in, one ends before its last step; some terminate."""
    n, length, burn_in = config.agent.n_step, config.replay.sequence_length, config.replay.burn_in
    size = burn_in + length + n
    first = np.where(np.arange(count) % 3 == 1, rng.integers(0, burn_in + 1, count), 0)
    steps = np.where(np.arange(count) % 3 == 2, rng.integers(1, length, count), length)
    k = np.clip(steps[:, None] - np.arange(length), 0, n)
    k[steps == length] = n
    is_terminal = (
        (np.arange(length) + k == steps[:, None]) & (steps < length)[:, None] & (rng.random(count) < 0.5)[:, None]
    )
    legal = (rng.random((2, count, length, *spec.mask_shape)) < 0.6) & spec.all_legal
    legal[..., 0] = True
    most = spec.num_actions if spec.action_shape else spec.num_actions[0]
    flat = observations(spec, count * size, rng)
    return Sequences(
        observation={key: tf.constant(array.reshape(count, size, *array.shape[1:])) for key, array in flat.items()},
        first=tf.constant(first, tf.int32),
        state=tf.constant(rng.normal(size=(count, config.network.state_size)), tf.float32),
        action=tf.constant(rng.integers(most, size=(count, length, *spec.action_shape)), tf.int32),
        reward=tf.constant(rng.normal(scale=3, size=(count, length)), tf.float32),
        discount=tf.constant(np.where(is_terminal, 0.0, 0.9**k), tf.float32),
        steps=tf.constant(k, tf.int32),
        legal_tm1=tf.constant(legal[0]) if spec.action_masks else None,
        legal_t=tf.constant(legal[1]) if spec.action_masks else None,
    )
