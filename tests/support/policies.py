"""Tasks of any shape, a small network for each, and observations of it."""

import numpy as np

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
    rng = np.random.default_rng(seed)

    def draw(array: ArraySpec) -> np.ndarray:
        if array.categories:
            return rng.integers(array.start, array.start + array.categories, (n, *array.shape), array.dtype)
        if array.dtype == "uint8":
            return rng.integers(0, 256, (n, *array.shape), array.dtype)
        return rng.normal(size=(n, *array.shape)).astype(array.dtype)

    return {key: draw(array) for key, array in spec.observation.items()}
