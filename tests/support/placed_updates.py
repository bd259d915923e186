"""Run by a test in a process of its own: prints what the devices of several replicas send in a call, as JSON."""

import json
from collections.abc import Callable
from contextlib import closing

import tensorflow as tf

from tests.support.logical_devices import logical_devices
from tests.support.placement import placed, sent
from tests.support.random_episodes import VECTOR
from tests.support.replay_contents import numbered
from tests.support.tiny_runs import tiny
from tfdqn.learning.strategies.distribution import make_strategy
from tfdqn.learning.strategies.factory import make_updater
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import Sample
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.sampling import make_sampler

NUMBERS = (tf.float32, tf.uint8, tf.int64)  # not int32, which a GPU's side of TensorFlow keeps on the host


def main(count: int, *overrides: str) -> None:
    """With all parts of the CPU but the first, which is the host, for GPUs."""
    _, *gpus = logical_devices(count)
    config = tiny(*overrides)
    with tf.device(gpus[0]), closing(make_replay(config, VECTOR)) as replay:
        writer = replay.writer(num_envs=4)
        for time, step in enumerate(numbered(100)):
            writer.write(step._replace(env_steps=time))
        replay.flush()

        def sampler(num_examples: int, device: str | None = None) -> Callable[[], Sample]:
            if not replay.addresses:
                return replay.sampler(num_examples)
            with tf.device("CPU:0"):  # where datasets are in any case
                return make_sampler(
                    replay.addresses, make_item_kind(config, VECTOR), num_examples, config.priorities, device
                )

        strategy = make_strategy(config, None, gpus)
        updater = make_updater(config, VECTOR, strategy, None, gpus, sampler)
        numbers_sent = sent(placed(updater), *NUMBERS)
    print(json.dumps(numbers_sent))
