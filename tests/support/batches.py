"""Random batches of finished transitions, as replay hands them out, for any task's specification."""

import json
import os
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tests.support.actions import branches
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

Arrays = Mapping[str, np.ndarray]


def vector_spec(size: int = 3, num_actions: int | Sequence[int] = 4, *, action_masks: bool = False) -> TaskSpec:
    """Of one number, or of as many branches as there are numbers of actions."""
    return TaskSpec(
        id="Vector-v0",
        observation={"observation": ArraySpec(shape=(size,), dtype="float32")},
        actions=discrete(num_actions) if isinstance(num_actions, int) else branches(*num_actions),
        action_masks=action_masks,
    )


def case_spec() -> TaskSpec:
    """With as many actions as `PARITY_ACTIONS` says: of a process that a case of parity has to itself."""
    return vector_spec(num_actions=json.loads(os.environ.get("PARITY_ACTIONS", "4")))


def observations(spec: TaskSpec, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Legal observations [count, …] of every array of the specification."""
    return {key: _array(each, count, rng) for key, each in spec.observation.items()}


def transitions(
    spec: TaskSpec,
    observation: Arrays,
    action: np.ndarray,
    reward: np.ndarray,
    discount: np.ndarray,
    next_observation: Arrays,
    legal_t: np.ndarray | None = None,
) -> trajectory.Transition:
    """A transition [N]; legal actions only where the task has masks."""

    def step(arrays: Arrays, reward: np.ndarray, discount: np.ndarray, legal: np.ndarray | None) -> ts.TimeStep:
        tensors = {key: tf.constant(array) for key, array in arrays.items()}
        return ts.TimeStep(
            tf.fill((len(action),), ts.StepType.MID),
            tf.constant(reward, tf.float32),
            tf.constant(discount, tf.float32),
            (tensors, tf.constant(legal)) if spec.action_masks else tensors,
        )

    everything = np.tile(spec.all_legal, (len(action), *[1] * len(spec.mask_shape)))
    return trajectory.Transition(
        step(observation, np.zeros(len(action)), np.ones(len(action)), everything),
        policy_step.PolicyStep(tf.constant(action, tf.int32), (), ()),
        step(next_observation, reward, discount, everything if legal_t is None else legal_t),
    )


def random_transitions(spec: TaskSpec, count: int, rng: np.random.Generator) -> trajectory.Transition:
    """Random ones, a quarter of them terminal, with large TD errors among them."""
    action_shape, most = (count, *spec.action_shape), spec.num_actions if spec.action_shape else spec.num_actions[0]
    legal = rng.random((count, *spec.mask_shape)) < 0.6
    sure = rng.integers(most, size=action_shape)
    np.put_along_axis(legal, sure[..., np.newaxis], True, axis=-1)
    legal &= spec.all_legal
    return transitions(
        spec,
        observations(spec, count, rng),
        rng.integers(most, size=action_shape),
        rng.normal(scale=3, size=count),
        0.9 * (rng.random(count) < 0.75),
        observations(spec, count, rng),
        legal,
    )


def random_weights(like: Mapping[str, tf.Variable], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights of the same names and shapes; of statistics, variances and counts are above zero."""
    drawn = {name: rng.normal(scale=0.5, size=v.shape).astype(np.float32) for name, v in like.items()}
    above_zero = ("_statistics/variance", "_statistics/count")
    return {name: np.exp(array) if name.endswith(above_zero) else array for name, array in drawn.items()}


def random_small_weights(like: Mapping[str, tf.Variable], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The same, divided by √inputs: else convolutions' Q is in thousands, and no digit of it lasts."""
    drawn = random_weights(like, rng)
    return {name: array / np.sqrt(np.prod(array.shape[:-1], dtype=np.float32)) for name, array in drawn.items()}


def _array(spec: ArraySpec, count: int, rng: np.random.Generator) -> np.ndarray:
    shape = (count, *spec.shape)
    if spec.categories:
        return rng.integers(spec.start, spec.start + spec.categories, shape).astype(spec.dtype)
    if spec.dtype == "uint8":
        return rng.integers(256, size=shape).astype(np.uint8)
    return rng.normal(size=shape).astype(spec.dtype)
