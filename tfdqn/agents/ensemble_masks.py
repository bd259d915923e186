"""Which members of an ensemble learn from a transition, as pure, deterministic functions of the transition.

So a transition belongs to the same members for as long as it is in replay, in every process and after every restart,
without this being stored. `bootstrap`, `by_hash` and `by_edges` return float32[K, B]: 1 where a member learns from an
example, else 0.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import trajectory

from tfdqn.config import Config, Ensemble
from tfdqn.errors import ConfigError
from tfdqn.networks.encoding import size_of
from tfdqn.networks.noise import mix, scattered, uniform
from tfdqn.networks.torsos.torso import Observation
from tfdqn.randomness import derived_seed
from tfdqn.task_spec import TaskSpec

# (transition, the observations at its two ends) → float32[K, B]
MemberWeights = Callable[[trajectory.Transition, Observation, Observation], tf.Tensor]


def member_weights(config: Config, task_spec: TaskSpec) -> MemberWeights:
    """Makes the function that computes the weight of each example in each member's loss, by `[ensemble]`.

    A weight is 1 / p if the member learns from the example, else 0. p is the share of all data that a member should
    have: 1, `mask_probability`, or 1 / K. So a member's mean over the whole batch is, on average, its mean over its own
    examples; and sums over batches or replicas stay correct, which they would not if each divided by its own count.
    If the parts of a partition are not visited evenly, a member's loss is scaled by K times its part's share.

    Raises ConfigError if the observation doesn't have the element that partitions it.
    """
    ensemble, salt = config.ensemble, derived_seed(config.seed, "ensemble data")
    size = ensemble.size
    match ensemble.data:
        case "all":
            return lambda transition, state_tm1, state_t: tf.ones([size, tf.shape(transition.action_step.action)[0]])
        case "bootstrap":
            p = ensemble.mask_probability
            return lambda transition, state_tm1, state_t: (
                bootstrap(transition_hash(transition, state_tm1, state_t, salt), size, p) / p
            )
        case "hash":
            return lambda transition, state_tm1, state_t: (
                size * by_hash(state_hash(state_tm1, task_spec, ensemble.hash_cell_size, salt), size)
            )
        case "partition":
            key = _partition_key(ensemble, task_spec)
            index, edges = ensemble.partition_index, ensemble.partition_edges
            return lambda transition, state_tm1, state_t: size * by_edges(state_tm1[key], index, edges)


def transition_hash(
    transition: trajectory.Transition, state_tm1: Observation, state_t: Observation, salt: int
) -> tf.Tensor:
    """Hashes transitions (both states, action, reward and discount) to uint32[B].

    Equal transitions have equal hashes: in a task with few states and outcomes, one may go to all members or to none.
    """
    after = transition.next_time_step
    numbers = [transition.action_step.action, after.reward, after.discount]
    return row_hash([*_values(state_tm1), *numbers, *_values(state_t)], salt)


def state_hash(state: Observation, task_spec: TaskSpec, cell_size: float, salt: int) -> tf.Tensor:
    """Hashes states to uint32[B], or the cells that they are in: cubes of edge `cell_size`, unless that is 0.

    Categories are hashed as they are.
    """

    def cell(key: str) -> tf.Tensor:
        if not cell_size or task_spec.observation[key].categories:
            return state[key]
        return tf.floor(tf.cast(state[key], tf.float32) * (1 / cell_size))

    return row_hash([cell(key) for key in sorted(state)], salt)


def bootstrap(hashes: tf.Tensor, size: int, probability: float) -> tf.Tensor:
    """Gives each member a random part of the transitions, by their hashes uint32[B].

    These are Bernoulli masks, as in Osband et al. 2016.
    """
    own = mix(tf.bitwise.bitwise_xor(hashes, scattered(np.arange(size), 0)[:, tf.newaxis]))
    return tf.cast(uniform(own) < probability, tf.float32)


def by_hash(hashes: tf.Tensor, size: int) -> tf.Tensor:
    """Gives each example to one member, by its hash uint32[B]: half of it, modulo K."""
    half = tf.cast(tf.bitwise.right_shift(hashes, tf.constant(1, tf.uint32)), tf.int32)
    return tf.one_hot(half % size, size, axis=0)


def by_edges(array: tf.Tensor, index: int, edges: Sequence[float]) -> tf.Tensor:
    """Gives each row of `array` to one member: to the first k with element `index` below edges[k], else to the last.

    `index` counts the elements of a row as if it were flat. The K - 1 edges ascend, and are compared in float32.
    """
    elements = math.prod(array.shape[1:])
    element = tf.cast(tf.reshape(array, [-1, elements])[:, index], tf.float32)
    edges_passed = tf.cast(element[:, tf.newaxis] >= tf.constant(edges, tf.float32), tf.int32)
    return tf.one_hot(tf.reduce_sum(edges_passed, axis=1), len(edges) + 1, axis=0)


def row_hash(arrays: Sequence[tf.Tensor], salt: int) -> tf.Tensor:
    """Hashes the rows of arrays [B, …], of any numeric dtype, to uint32[B], the same on every device and in any batch.

    Equal rows have equal hashes (−0 is 0); others collide with a probability of 2⁻³². `salt` selects the function.
    """
    words = tf.concat([_words(array) for array in arrays], axis=1)
    places = scattered(np.arange(words.shape[1]), salt)
    mixed = tf.cast(mix(tf.bitwise.bitwise_xor(words, places)), tf.int64)  # there is no GPU kernel to sum uint32
    return mix(tf.cast(tf.reduce_sum(mixed, axis=1), tf.uint32))


def _values(state: Observation) -> list[tf.Tensor]:
    return [state[key] for key in sorted(state)]


def _partition_key(ensemble: Ensemble, task_spec: TaskSpec) -> str:
    """The key of the array that partitions the states. Raises ConfigError."""
    arrays, key, index = task_spec.observation, ensemble.partition_key, ensemble.partition_index
    names = " or ".join(f'"{name}"' for name in arrays)
    if not key and len(arrays) == 1:
        (key,) = arrays
    if key not in arrays:
        raise ConfigError(
            f'ensemble.partition_key = "{key}": {task_spec.id} observes several arrays, name one: {names}'
            if not key
            else f'ensemble.partition_key = "{key}": not observed by {task_spec.id}; {names} is allowed'
        )
    size = size_of(arrays[key])
    if index >= size:
        raise ConfigError(
            f"ensemble.partition_index = {index}: must be below {size}, the number of elements of "
            f'"{key}", which {task_spec.id} observes'
        )
    return key


def _words(array: tf.Tensor) -> tf.Tensor:
    """Converts an array [B, …] to uint32[B, N]: floats as the bits of float32, integers modulo 2³², bytes by fours."""
    size = math.prod(array.shape[1:])
    rows = tf.reshape(array, [-1, size])
    if array.dtype.is_floating:
        numbers = tf.cast(rows, tf.float32)
        return tf.bitcast(tf.where(numbers == 0, tf.zeros_like(numbers), numbers), tf.uint32)
    if array.dtype in (tf.uint8, tf.int8, tf.bool):
        octets = tf.pad(tf.cast(rows, tf.uint8), [[0, 0], [0, -size % 4]])
        return tf.bitcast(tf.reshape(octets, [-1, -(-size // 4), 4]), tf.uint32)
    return tf.cast(rows, tf.uint32)
