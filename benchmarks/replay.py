"""Replay: transitions/s written and sampled, for each backend and several block sizes, and by priorities.

Sampling starts with 10,000 transitions or more in the table. By priorities transitions are sampled alone, and with the
priority of each updated. Both are compared with uniform sampling of the same table, in turn with it and by the CPU
seconds of the whole process, in which Reverb's server runs.

python -m benchmarks.replay [--batch-size 128] [--updates-per-call 50] [--table]
"""

from contextlib import ExitStack

import numpy as np
import tensorflow as tf
from tf_agents.trajectories.trajectory import Transition

from benchmarks.measure import argument_parser, print_table, rates_in_turn, report, use_one_thread
from benchmarks.random_transitions import CARTPOLE
from tfdqn.config import DQN, Config, Learner, Priorities
from tfdqn.config import Replay as ReplayConfig
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Draw, ItemPriorities
from tfdqn.types import Experience, Step

NUM_ENVS = 32


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--updates-per-call", type=int, default=50)
    parser.add_argument("--table", action="store_true", help="print the table of docs/performance.md instead")
    options = parser.parse_args()
    use_one_thread()
    count = options.batch_size * options.updates_per_call
    results: dict[str, dict[str, float]] = {}
    for backend, block_size, capacity in (
        ("reverb", 1, 20_000),
        ("reverb", 1, 1_000_000),
        ("reverb", 16, 20_000),
        ("reverb", 32, 20_000),
        ("in_graph", 1, 20_000),
        ("in_graph", 1, 1_000_000),
    ):
        name = "in the graph" if backend == "in_graph" else f"Reverb, blocks of {block_size}"
        results |= _rows(f"{name}, capacity {capacity:,}", backend, block_size, capacity, count)
    if options.table:
        print_table("backend", results)
    else:
        report("replay", {"batch_size": options.batch_size, "updates_per_call": options.updates_per_call}, results)


def _rows(name: str, backend: str, block_size: int, capacity: int, count: int) -> dict[str, dict[str, float]]:
    """What is measured of a table, uniformly and, where an item is one transition, by priorities."""
    with ExitStack() as stack:
        uniform = Table(backend, block_size, capacity, 0.0, count)
        stack.callback(uniform.replay.close)
        works = {"written": uniform.written, "sampled": uniform.sampled}
        if block_size == 1:
            by_priorities = Table(backend, block_size, capacity, 0.6, count)
            stack.callback(by_priorities.replay.close)
            works |= {
                "written by priorities": by_priorities.written,
                "sampled by priorities": by_priorities.sampled,
                "updated, too": by_priorities.updated,
            }
        rates = rates_in_turn(works)
    rows = {name: {"written/s": rates["written"].per_second, "sampled/s": rates["sampled"].per_second}}
    if block_size == 1:
        alone, updated, plain = rates["sampled by priorities"], rates["updated, too"], rates["sampled"]
        rows[f"{name}, by priorities"] = {
            "written/s": rates["written by priorities"].per_second,
            "sampled/s": alone.per_second,
            "times uniform": alone.per_cpu_second / plain.per_cpu_second,
            "sampled and updated/s": updated.per_second,
            "updated, times uniform": updated.per_cpu_second / plain.per_cpu_second,
        }
    return rows


class Table:
    """A replay of CartPole's transitions, filled; each work of it with its transitions per call, as `rates_in_turn`."""

    def __init__(self, backend: str, block_size: int, capacity: int, exponent: float, count: int):
        config = Config(
            agent=DQN(n_step=1),
            learner=Learner(batch_size=128),
            priorities=Priorities(exponent=exponent),
            replay=ReplayConfig(backend=backend, block_size=block_size, capacity=capacity, min_size=10_000),  # type: ignore[arg-type]
        )
        self.replay = make_replay(config, CARTPOLE)
        self._writer = self.replay.writer(NUM_ENVS)
        self._errors = np.random.default_rng(0).gamma(0.5, size=count).astype(np.float32)
        self.written = (self._write, 100 * NUM_ENVS)
        while self.replay.size() < self.replay.min_size:
            self._write()
        sampler = self.replay.sampler(count)

        @tf.function(autograph=False)
        def sample() -> tuple[tf.Tensor, Draw | None]:
            drawn = sampler()
            assert isinstance(drawn.transition, Transition)
            # The sum keeps TensorFlow from leaving out the decoding.
            return tf.reduce_sum(tf.cast(drawn.transition.action_step.action, tf.int32)), drawn.draw

        def sample_and_update() -> None:
            _, draw = sample()
            assert draw is not None
            self.replay.update_priorities(ItemPriorities(draw.keys.numpy(), self._errors))

        self.sampled, self.updated = (sample, count), (sample_and_update, count)

    def _write(self) -> None:
        observation, nowhere = {"observation": np.ones((NUM_ENVS, 4), np.float32)}, np.zeros(NUM_ENVS, bool)
        step = Step(observation, np.ones(NUM_ENVS, np.float32), nowhere, nowhere, nowhere, None)
        for _ in range(100):
            self._writer.write(Experience(observation, None, np.zeros(NUM_ENVS, np.int32), step))
        self.replay.flush()


if __name__ == "__main__":
    main()
