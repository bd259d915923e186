"""Samples by the servers' addresses alone: as a function and as a dataset, here and in another process."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.support.commands import PROJECT
from tests.support.random_episodes import VECTOR
from tests.support.replay_contents import DISCOUNT, MakeReplay, numbered, write
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.config import DQN, Config, Priorities, Replay
from tfdqn.errors import ConfigError
from tfdqn.replay.items.kinds import ItemKind, make_item_kind
from tfdqn.replay.reverb.sampling import ReverbSource

ELSEWHERE = """
import json, sys
import numpy as np, tensorflow as tf
from tests.replay.reverb.test_sampling import kind
from tests.support.replay_contents import drawn
from tests.support.random_episodes import VECTOR
from tfdqn.config import Priorities
from tfdqn.replay.reverb.sampling import ReverbSource

addresses = sys.argv[1:]
source = ReverbSource(addresses, kind(), Priorities())
sample = tf.function(source.sampler(16), autograph=False)
calls = [drawn(sample()) for _ in range(2)]
calls += [drawn(each) for each in source.dataset(16).take(2)]
print(json.dumps(np.stack(calls).tolist()))
"""


def kind(block_size: int = 4) -> ItemKind:
    replay = Replay(block_size=block_size, capacity=10_000, min_size=1, shards=2)
    return make_item_kind(Config(agent=DQN(discount=DISCOUNT), replay=replay), VECTOR)


@pytest.mark.long  # that it learns from what it samples so: test_team.py, test_train_on_hosts.py
def test_another_process_samples_by_the_addresses_alone(make: MakeReplay) -> None:
    replay = make(shards=2)
    write(replay, numbered(40))
    assert len(replay.addresses) == 2
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *replay.addresses],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        cwd=PROJECT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    numbers = np.array(json.loads(done.stdout.splitlines()[-1]))
    assert numbers.shape == (4, 16)
    assert numbers.min() >= 0 and numbers.max() < 160
    assert (numbers // 4 % 2).sum(axis=1).tolist() == [8] * 4


def test_a_dataset_of_samples_has_static_shapes_and_can_be_made_in_a_graph(make: MakeReplay) -> None:
    replay = make(shards=2)
    write(replay, numbered(40))
    source = ReverbSource(replay.addresses, kind(), Priorities())
    samples = source.dataset(16)
    transition = samples.element_spec.transition
    assert transition.time_step.observation["observation"].shape == (16, 4)
    assert transition.action_step.action.shape == (16,)
    sample = next(iter(samples))
    assert sample.weights is None

    @tf.function
    def made_inside() -> tf.Tensor:
        return next(iter(source.dataset(16))).transition.action_step.action

    assert made_inside().shape == (16,)


def test_a_sample_by_priority_has_the_probability_and_the_key_of_each_example(make: MakeReplay) -> None:
    replay, by_priority = make(block_size=1), Priorities(exponent=0.6)
    write(replay, numbered(10))
    source = ReverbSource(replay.addresses, kind(1), by_priority)
    for sample in (source.sampler(16)(), next(iter(source.dataset(16)))):
        assert sample.transition.action_step.action.shape == (16,)
        assert sample.draw is not None and sample.draw.keys.shape == (16, 2)
        np.testing.assert_allclose(sample.draw.probability, [1 / 40] * 16, rtol=1e-6)


def test_a_sample_that_blocks_do_not_divide_is_refused_elsewhere_too() -> None:
    source = ReverbSource(["localhost:1"], kind(5), Priorities())
    for make in (source.sampler, source.dataset):
        with pytest.raises(ConfigError, match=r"block_size 5 doesn't divide a batch of 16"):
            make(16)
