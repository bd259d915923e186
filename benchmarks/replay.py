"""Replay: transitions/s written and sampled, for each backend and several block sizes, and by priorities.

Sampling starts with 10,000 transitions or more in the table. By priorities each sample's is updated, too: the ratio is
of that to uniform sampling of the same kind.

python -m benchmarks.replay [--batch-size 128] [--updates-per-call 50]
"""

import argparse

import numpy as np
import tensorflow as tf

import tfdqn  # noqa: F401  (quiets TensorFlow before it is imported)
from benchmarks.measure import rate, report, use_one_thread
from tfdqn.config import DQN, Config, Learner, Priorities
from tfdqn.config import Replay as ReplayConfig
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Draw, ItemPriorities
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.types import Experience, Step

CARTPOLE = TaskSpec(
    id="CartPole-v1", observation={"observation": ArraySpec(shape=(4,), dtype="float32")}, actions=discrete(2)
)
NUM_ENVS = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--updates-per-call", type=int, default=50)
    options = parser.parse_args()
    use_one_thread()
    count = options.batch_size * options.updates_per_call
    results = {}
    for backend, block_size, capacity in (
        ("reverb", 1, 20_000),
        ("reverb", 1, 1_000_000),
        ("reverb", 16, 20_000),
        ("reverb", 32, 20_000),
        ("in_graph", 1, 20_000),
        ("in_graph", 1, 1_000_000),
    ):
        name = backend if backend == "in_graph" else f"{backend}, blocks of {block_size}"
        name += f", capacity {capacity}"
        inserted, uniform = _measure(backend, block_size, capacity, 0.0, count)
        results[name] = {"inserted/s": inserted, "sampled/s": uniform}
        if block_size == 1:
            inserted, sampled = _measure(backend, block_size, capacity, 0.6, count)
            ratio = {"sampled, times uniform": sampled / uniform}
            results[f"{name}, by priorities"] = {"inserted/s": inserted, "sampled/s": sampled} | ratio
    report("replay", {"batch_size": options.batch_size, "updates_per_call": options.updates_per_call}, results)


def _measure(
    backend: str, block_size: int, capacity: int, exponent: float, num_transitions: int
) -> tuple[float, float]:
    """Transitions/s written, and sampled; by priorities, every sample's are updated as well."""
    config = Config(
        agent=DQN(n_step=1),
        learner=Learner(batch_size=128),
        priorities=Priorities(exponent=exponent),
        replay=ReplayConfig(backend=backend, block_size=block_size, capacity=capacity, min_size=10_000),  # type: ignore[arg-type]
    )
    replay = make_replay(config, CARTPOLE)
    writer = replay.writer(NUM_ENVS)
    observation = {"observation": np.ones((NUM_ENVS, 4), np.float32)}
    nowhere = np.zeros(NUM_ENVS, bool)
    step = Step(observation, np.ones(NUM_ENVS, np.float32), nowhere, nowhere, nowhere, None)
    actions = np.zeros(NUM_ENVS, np.int32)

    def write() -> None:
        for _ in range(100):
            writer.write(Experience(observation, None, actions, step))

    inserted = rate(write, 100 * NUM_ENVS)
    while replay.size() < replay.min_size:
        write()
    sampler = replay.sampler(num_transitions)
    errors = np.random.default_rng(0).gamma(0.5, size=num_transitions).astype(np.float32)

    @tf.function(autograph=False)
    def sample() -> tuple[tf.Tensor, Draw | None]:
        drawn = sampler()
        # The sum keeps TensorFlow from leaving out the decoding.
        return tf.reduce_sum(tf.cast(drawn.transition.action_step.action, tf.int32)), drawn.draw

    def sample_and_update() -> None:
        _, draw = sample()
        if draw is not None:
            replay.update_priorities(ItemPriorities(draw.keys.numpy(), errors))

    sampled = rate(sample_and_update, num_transitions)
    replay.close()
    return inserted.per_second, sampled.per_second


if __name__ == "__main__":
    main()
