"""The Nature network on images of any size: every pixel reaches Q, in each form that the network takes."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.config import Config, NatureCNN
from tfdqn.networks.factory import ensemble_network, q_network, split_network
from tfdqn.networks.q_network import QNetwork
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

SETTINGS = NatureCNN(dense_units=2)
SIZES = range(36, 101)


def plain(spec: TaskSpec) -> QNetwork:
    return q_network(Config(network=SETTINGS), spec, seed=0)


def ensemble(spec: TaskSpec) -> QNetwork:
    return ensemble_network(Config(network=SETTINGS), spec, seeds=[0, 1])


def split(spec: TaskSpec) -> QNetwork:
    return split_network(Config(network=SETTINGS), spec, seed=0, devices=["CPU:0"] * 2)


def blind_pixels(make: Callable[[TaskSpec], QNetwork], shape: Sequence[int], frame_stack: int = 1) -> np.ndarray:
    """Where the gradient of Q is zero, though every weight and pixel is positive, so that no unit is silent."""
    spec = TaskSpec(
        id="Image-v0",
        observation={"image": ArraySpec(shape=tuple(shape), dtype="float32", frame_stack=frame_stack)},
        actions=discrete(3),
    )
    network = make(spec)
    network.create_variables()
    for weight in network.named_weights().values():
        weight.assign(tf.abs(weight) + 1e-3)
    image = tf.ones((1, *shape))
    with tf.GradientTape() as tape:
        tape.watch(image)
        q_values, _ = network({"image": image})
    return np.argwhere(tape.gradient(q_values, image)[0].numpy() == 0)


def test_every_pixel_of_every_size_reaches_q() -> None:
    blind = {
        (height, width): len(found)
        for height, width in zip(SIZES, np.roll(SIZES, 29).tolist(), strict=True)
        if len(found := blind_pixels(plain, (height, width)))
    }
    assert blind == {}


@pytest.mark.parametrize("make", [plain, ensemble, split])
@pytest.mark.parametrize(
    ("shape", "frame_stack"), [((40, 40, 1), 1), ((2, 43, 36), 2), ((2, 37, 50, 3), 2), ((210, 160, 3), 1)]
)
def test_every_pixel_reaches_q_in_each_form(
    make: Callable[[TaskSpec], QNetwork], shape: tuple[int, ...], frame_stack: int
) -> None:
    assert len(blind_pixels(make, shape, frame_stack)) == 0
