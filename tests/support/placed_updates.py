"""Run by a test in a process of its own: prints what the devices of several replicas send in a call, as JSON."""

import json
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
from tfdqn.replay.interfaces import Sampler
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.sampling import ReverbSource

NUMBERS = (tf.float32, tf.uint8, tf.int64)  # not int32, which a GPU's side of TensorFlow keeps on the host


class OnTheHost(ReverbSource):
    """Makes its datasets where they are in any case."""

    def sampler(self, num_examples: int, device: str | None = None) -> Sampler:
        with tf.device("CPU:0"):
            return super().sampler(num_examples, device)


def main(count: int, *overrides: str) -> None:
    """With all parts of the CPU but the first, which is the host, for GPUs."""
    _, *gpus = logical_devices(count)
    config = tiny(*overrides)
    with tf.device(gpus[0]), closing(make_replay(config, VECTOR)) as replay:
        writer = replay.writer(num_envs=4)
        for time, step in enumerate(numbered(100)):
            writer.write(step._replace(env_steps=time))
        replay.flush()
        kind = make_item_kind(config, VECTOR)
        source = OnTheHost(replay.addresses, kind, config.priorities) if replay.addresses else replay
        strategy = make_strategy(config, None, gpus)
        updater = make_updater(config, VECTOR, strategy, None, gpus, source)
        numbers_sent = sent(placed(updater), *NUMBERS)
    print(json.dumps(numbers_sent))
