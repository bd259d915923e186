"""What benchmarks learn from: random transitions of any task's specification, in a table or in a replay."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.interfaces import Sample, Sampler
from tfdqn.replay.reverb.in_process import ReverbReplay
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.types import Experience, Step

CARTPOLE = TaskSpec(
    id="CartPole-v1", observation={"observation": ArraySpec(shape=(4,), dtype="float32")}, actions=discrete(2)
)

_ENVS = 50


def random_sample(spec: TaskSpec, count: int) -> Sample:
    """`count` transitions, rewarded by 1, none of them terminal."""
    return Sample(TransitionCodec(spec).decode(tf.constant(_rows(spec, count))), None)


def table_sampler(spec: TaskSpec, table_size: int, count: int) -> Sampler:
    """Draws `count` transitions at a time from such a table in the graph, uniformly."""
    codec, table = TransitionCodec(spec), tf.Variable(_rows(spec, table_size), trainable=False)

    def sample() -> Sample:
        indices = tf.random.uniform([count], 0, table_size, tf.int64)
        return Sample(codec.decode(table.sparse_read(indices)), None)

    return sample


def filled_replay(config: Config, spec: TaskSpec) -> ReverbReplay:
    """A Reverb server of this process, full of random transitions."""
    replay = ReverbReplay(config, spec)
    writer = replay.writer(_ENVS)
    for experience in random_steps(spec, _ENVS, replay.capacity // _ENVS):
        writer.write(experience)
    replay.flush()
    return replay


def random_steps(spec: TaskSpec, num_envs: int, steps: int) -> Iterator[Experience]:
    """Steps of `num_envs` environments whose episodes don't end."""
    rng, running = np.random.default_rng(0), np.zeros(num_envs, bool)
    now = _observation(spec, num_envs, rng)
    for _ in range(steps):
        after = _observation(spec, num_envs, rng)
        reward = rng.normal(size=num_envs).astype(np.float32)
        action = rng.integers(min(spec.num_actions), size=(num_envs, *spec.action_shape)).astype(np.int32)
        yield Experience(now, None, action, Step(after, reward, running, running, running, None))
        now = after


def _rows(spec: TaskSpec, count: int) -> np.ndarray:
    """uint8[count, bytes], as `TransitionCodec` has them."""
    rng, codec = np.random.default_rng(0), TransitionCodec(spec)
    rows = codec.empty(count)
    for prefix in ("observation/", "next_observation/"):
        for name, array in _observation(spec, count, rng).items():
            rows[prefix + name] = array
    rows["action"] = rng.integers(spec.num_actions[0], size=count)
    rows["reward"], rows["discount"] = 1.0, 0.99
    return codec.to_bytes(rows)


def _observation(spec: TaskSpec, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: _array(array, count, rng) for name, array in spec.observation.items()}


def _array(spec: ArraySpec, count: int, rng: np.random.Generator) -> np.ndarray:
    shape = (count, *spec.shape)
    if spec.dtype == "uint8":
        return rng.integers(256, size=shape, dtype=np.uint8)
    numbers = rng.normal(size=shape)
    return numbers > 1 if spec.dtype == "bool" else numbers.astype(spec.dtype)
