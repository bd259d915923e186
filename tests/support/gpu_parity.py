"""Run by `tests.support.parity_server`: plain training on a GPU against plain training on the CPU."""

import msgspec
import numpy as np
import tensorflow as tf

from tests.support.batches import case_spec
from tests.support.logical_devices import logical_devices
from tests.support.parity import (
    BATCH,
    UPDATES_PER_CALL,
    all_batches,
    difference,
    image_spec,
    in_turn,
    initial_state,
    on_the_cpu,
    run,
    settings,
)
from tfdqn.agents.factory import make_agent
from tfdqn.config import Config, Impala, NatureCNN
from tfdqn.learning.strategies.synchronous import SynchronousUpdater
from tfdqn.learning.train_step import TrainStep
from tfdqn.task_spec import TaskSpec

NETWORKS = {"nature_cnn": NatureCNN(dense_units=16), "impala": Impala(dense_units=16)}


State = dict[str, np.ndarray]


def on_one_device(count: int, optimizer: str, xla: str, network: str = "mlp") -> float:
    """On the last of so many devices: the largest difference to the CPU."""
    *_, device = logical_devices(count)
    config, spec = setting(optimizer, network)
    start = initial_state(config, spec)
    return difference(on_the_cpu(config, start, spec), on_device(device, optimizer, xla, network, start))


def in_bfloat16(count: int, optimizer: str, xla: str, network: str = "mlp") -> float:
    """How far the weights are from the CPU's, both in mixed precision, as a part of how far they went."""
    *_, device = logical_devices(count)
    config, spec = setting(optimizer, network, precision="mixed_bfloat16")
    start = initial_state(config, spec)
    expected = on_the_cpu(config, start, spec)
    reached = on_device(device, optimizer, xla, network, start, config.learner.precision)
    return distance(expected, reached) / distance(expected, start)


def setting(optimizer: str, network: str, **learner: str) -> tuple[Config, TaskSpec]:
    config = settings(optimizer, **{"xla": "off", **learner})
    if network not in NETWORKS:
        return config, case_spec()
    return msgspec.structs.replace(config, network=NETWORKS[network]), image_spec()


def on_device(device: str, optimizer: str, xla: str, network: str, start: State, precision: str = "float32") -> State:
    config, spec = setting(optimizer, network, xla=xla, precision=precision)
    with tf.device(device):
        step = TrainStep(make_agent(config, spec), config)
        sampler = in_turn(all_batches(spec), UPDATES_PER_CALL * BATCH)
        reached = run(SynchronousUpdater(step, [sampler], config), start)
    assert all(device in each.device for name, each in step.named_variables().items() if name.startswith("online/"))
    return reached


def distance(ours: State, theirs: State) -> float:
    """Of all online weights together."""
    return float(np.sqrt(sum(np.sum((ours[name] - theirs[name]) ** 2) for name in ours if name.startswith("online/"))))


WAYS = {"on one device": on_one_device, "in bfloat16": in_bfloat16}
