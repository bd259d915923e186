"""An update on a GPU waits for the host nowhere, and gives what it gives on the CPU.

No GPU is needed: TensorFlow's wheel says which operations have a kernel there, and what those want on the host.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import case_spec, random_transitions, random_weights
from tests.support.gpu_kernels import copies_to_the_host
from tests.support.parity import image_spec
from tests.support.tiny_runs import tiny
from tfdqn.agents.factory import make_agent
from tfdqn.config import Config
from tfdqn.learning.train_step import TrainStep
from tfdqn.replay.interfaces import Sample
from tfdqn.task_spec import TaskSpec

UPDATES, BATCH = 7, 8


def made(config: Config, spec: TaskSpec, is_on_gpu: bool) -> TrainStep:
    step = TrainStep(make_agent(config, spec), config)
    step._is_on_gpu = is_on_gpu
    return step


@pytest.mark.parametrize(
    "overrides",
    [
        ("network.normalize_observations=true", "network.noisy=true", "network.layer_norm=true"),
        ("network.kind=nature_cnn", "network.dense_units=8", "agent.kind=iqn"),
        ("optimizer.kind=radam", "optimizer.schedule=linear", "optimizer.decay_train_steps=100"),
        ("ensemble.size=3", "ensemble.data=bootstrap", "optimizer.kind=rmsprop"),
        ("agent.kind=c51", "agent.v_min=-1", "agent.v_max=1"),
    ],
    ids=lambda overrides: " ".join(overrides),
)
def test_nothing_of_an_update_goes_to_the_host(overrides: tuple[str, ...]) -> None:
    config = tiny("agent.target_update_period_train_steps=3", *overrides)
    spec = image_spec() if config.network.fills_all_cores else case_spec()
    sample = Sample(random_transitions(spec, BATCH, np.random.default_rng(1)), None)
    step = made(config, spec, is_on_gpu=True)
    graph = tf.function(step.row, autograph=False).get_concrete_function(sample).graph
    operations = [each.type for each in graph.get_operations()]
    assert "AssignVariableOp" in operations and "If" not in operations
    assert copies_to_the_host(graph) == []


@pytest.mark.parametrize("tau", [1.0, 0.3])
def test_a_target_that_is_written_at_every_update_is_the_same(tau: float) -> None:
    """Bit for bit: where it isn't due it is written as it was."""
    period = ("agent.target_update_period_train_steps=3", f"agent.target_update_tau={tau}")
    config, spec, rng = tiny(*period), case_spec(), np.random.default_rng(2)
    steps = [made(config, spec, is_on_gpu) for is_on_gpu in (False, True)]
    start = random_weights(steps[0].named_variables(), rng) | {"train_steps": np.int64(0)}
    start |= {name: array for name, array in steps[0].state().items() if name.startswith("optimizer/")}
    updates = [tf.function(step.row, autograph=False) for step in steps]
    for step in steps:
        step.load_state(start)
    for count in range(1, UPDATES + 1):
        sample = Sample(random_transitions(spec, BATCH, rng), None)
        for update in updates:
            update(sample)
        conditional, always = (step.state() for step in steps)
        assert always["train_steps"] == count
        for name, array in conditional.items():
            assert array.tobytes() == always[name].tobytes(), (count, name)
    assert not np.array_equal(always["target/q/kernel"], start["target/q/kernel"])
