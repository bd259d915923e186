"""Tasks of any shape, a small network for each, and observations of it."""

import numpy as np

from tests.support import batches
from tfdqn import config
from tfdqn.networks.factory import q_network
from tfdqn.networks.q_network import QNetwork
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

BOX = ArraySpec(shape=(4,), dtype="float32")
IMAGE = ArraySpec(shape=(2, 40, 37), dtype="uint8", frame_stack=2)
DISCRETE = ArraySpec(shape=(), dtype="int64", categories=500, start=3)


def task(*, actions=3, start=0, masks=False, **observation: ArraySpec) -> TaskSpec:
    return TaskSpec(
        id="Test-v0",
        observation=observation or {"observation": BOX},
        actions=discrete(actions, start),
        action_masks=masks,
    )


def network_of(spec: TaskSpec, settings=None) -> QNetwork:
    network = q_network(config.Config(network=settings or config.MLP(hidden_units=(16, 8))), spec, seed=1)
    network.create_variables()
    return network


def observations(spec: TaskSpec, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    return batches.observations(spec, n, np.random.default_rng(seed))
