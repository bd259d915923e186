"""What learners of several seeds compute alike is compiled once, and each has the weights that it would have alone."""

import gc
import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_transitions, vector_spec
from tests.support.tiny_runs import assert_same_arrays
from tfdqn.agents.dqn import DqnAgent
from tfdqn.config import Config
from tfdqn.config.toml import from_mapping
from tfdqn.learning.shared_programs import SharedPrograms, programs_are_shared, shared_programs
from tfdqn.learning.strategies.synchronous import SynchronousUpdater
from tfdqn.learning.train_step import TrainStep
from tfdqn.replay.interfaces import Sample

UPDATES, BATCH, SEEDS = 4, 8, (1, 2, 3)
LEARNER = {"batch_size": BATCH, "updates_per_call": UPDATES, "xla": "on"}


def settings(seed: int, *overrides: str) -> Config:
    given = {
        "seed": seed,
        "replay": {"backend": "in_graph"},
        "network": {"kind": "mlp", "hidden_units": [6]},
        "learner": LEARNER,
    }
    return from_mapping(given, ["agent.target_update_period_train_steps=3", *overrides])


def updater(config: Config) -> SynchronousUpdater:
    """One that draws its batches by its seed."""
    rng = np.random.default_rng(config.seed)
    table = Sample(random_transitions(vector_spec(), 64, rng), tf.constant(rng.random(64), tf.float32))
    draws = tf.Variable(0, dtype=tf.int64, trainable=False)

    def sample() -> Sample:
        seed = tf.stack([tf.constant(config.seed, tf.int64), draws.assign_add(1)])
        indices = tf.random.stateless_uniform((UPDATES * BATCH,), seed, 0, 64, tf.int64, alg="philox")
        return table.map(lambda column: tf.gather(column, indices))

    return SynchronousUpdater(TrainStep(DqnAgent(config, vector_spec()), config), [sample], config)


def learned(each: SynchronousUpdater, calls: int = 5) -> dict[str, np.ndarray]:
    for _ in range(calls):
        each()
    return each.state()


def test_each_learns_what_it_learns_alone_by_one_program() -> None:
    alone = [learned(updater(settings(seed))) for seed in SEEDS]
    with programs_are_shared() as programs:
        together = [updater(settings(seed)) for seed in SEEDS]
        found: dict[int, dict[str, np.ndarray]] = {}
        threads = [
            threading.Thread(target=lambda index=index: found.update({index: learned(together[index])}))
            for index in range(len(SEEDS))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(programs) == 1
    for index, state in enumerate(alone):
        assert_same_arrays(found[index], state)
    assert not np.array_equal(alone[0]["online/hidden_0/kernel"], alone[1]["online/hidden_0/kernel"])


def test_a_loss_with_a_gradient_of_its_own_is_one_program() -> None:
    with programs_are_shared() as programs:
        for seed in (1, 2):
            learned(updater(settings(seed, "learner.xla=off", 'agent.kind="qr_dqn"')), 1)
        assert len(programs) == 1


def test_a_program_outlives_the_learner_that_compiled_it() -> None:
    alone = learned(updater(settings(2)), 2)
    with programs_are_shared() as programs:
        learned(updater(settings(1)), 1)
        gc.collect()
        assert_same_arrays(learned(updater(settings(2)), 2), alone)
        assert len(programs) == 1


@pytest.mark.parametrize("override", ["network.noisy=true", pytest.param('agent.kind="iqn"', marks=pytest.mark.long)])
def test_what_draws_by_its_seed_is_no_other_seeds_program(override: str) -> None:
    """Compiled or not, which takes longer."""
    configs = [settings(seed, override, "learner.xla=off") for seed in (1, 2)]
    alone = [learned(updater(config), 2) for config in configs]
    with programs_are_shared() as programs:
        together = [learned(updater(config), 2) for config in configs]
        assert len(programs) == 2
    for ours, theirs in zip(together, alone, strict=True):
        assert_same_arrays(ours, theirs)


def test_nothing_is_shared_beyond_the_block() -> None:
    with programs_are_shared() as programs:
        assert shared_programs() is programs
    assert shared_programs() is None
    learned(updater(settings(1)), 1)
    assert len(programs) == 0


def test_functions_that_differ_in_a_constant_are_two() -> None:
    programs = SharedPrograms()
    variable = tf.Variable(1.0)

    def plus(constant: float) -> tf.Tensor:
        function = tf.function(lambda x: x + variable + constant)
        return tf.function(lambda: programs.call(function, tf.constant(2.0)))()

    assert [float(plus(each)) for each in (10.0, 20.0, 10.0)] == [13.0, 23.0, 13.0]
    assert len(programs) == 2
