"""Layers that compute in bfloat16: weights, their gradients and Q stay float32, close to what float32 gives."""

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import case_spec, random_transitions
from tests.support.parity import image_spec, initial_state, settings
from tfdqn.agents.dqn import DqnAgent
from tfdqn.config import NatureCNN
from tfdqn.learning.flat_vector import FlatLayout
from tfdqn.learning.train_step import TrainStep
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.replay.interfaces import Sample


def made(precision: str, images: bool = False) -> TrainStep:
    config = settings("adam", precision=precision)
    spec = image_spec() if images else case_spec()
    if images:
        config = msgspec.structs.replace(config, network=NatureCNN(dense_units=8))
    step = TrainStep(DqnAgent(config, spec), config)
    step.load_state(initial_state(config, spec))
    return step


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes an agent believe that its dense layers are a GPU's, which alone computes them in bfloat16."""
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [tf.config.LogicalDevice("GPU:0", kind)])


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("images", [False, True], ids=["dense", "convolutions"])
def test_bfloat16_is_float32_to_its_three_digits(images: bool) -> None:
    transition = random_transitions(image_spec() if images else case_spec(), 16, np.random.default_rng(1))
    sample = Sample(transition, None)
    exact, mixed = made("float32", images), made("mixed_bfloat16", images)
    before = mixed.state()
    assert {array.dtype.name for array in before.values()} == {"float32", "int64"}
    (expected, _), (gradients, loss_info) = exact.gradients(sample), mixed.gradients(sample)
    assert loss_info.extra.q_value.dtype == tf.float32
    for one, other in zip(expected, gradients, strict=True):
        assert other.dtype == tf.float32
        # Of the whole array: a unit of a layer before that is barely on for one is barely off for the other.
        assert np.linalg.norm(np.subtract(other, one)) < 0.2 * np.linalg.norm(one)
        assert not np.array_equal(one, other)
    mixed(sample)
    assert not np.array_equal(mixed.state()["online/q/kernel"], before["online/q/kernel"])


def test_on_a_cpu_convolutions_alone_compute_in_bfloat16() -> None:
    layers = made("mixed_bfloat16", images=True).agent.network.made_layers
    assert {layer.name: layer.compute_dtype for layer in layers} == {
        **dict.fromkeys(["conv_0", "conv_1", "conv_2"], "bfloat16"),
        **dict.fromkeys(["hidden_0", "q"], "float32"),
    }


@pytest.mark.parametrize("dense_precision", [None, "float32"], ids=["on a GPU", "on a CPU"])
def test_what_convolutions_give_can_be_joined_with_what_dense_layers_give(dense_precision: str | None) -> None:
    make = LayerFactory(0, "mixed_bfloat16", dense_precision=dense_precision)
    flatten, dense = make.flatten(2, 2, 3), make.dense("others", 5, fan_in=4)
    joined = tf.concat(
        [flatten(make.conv("conv_0", 3, 1, 1, channels_in=1)(tf.ones([2, 2, 2, 1]))), dense(tf.ones([2, 4]))], -1
    )
    assert joined.shape == (2, 17) and joined.dtype == (dense_precision or "bfloat16")


@pytest.mark.usefixtures("gpu")
def test_weights_that_are_given_are_rounded_as_the_networks_own() -> None:
    step = made("mixed_bfloat16")
    weights = step.agent.network.named_weights()
    layout = FlatLayout(weights)
    flat = tf.constant(layout.flat({name: weight.numpy() for name, weight in weights.items()}))
    states = {"observation": tf.random.stateless_normal([5, 3], [1, 2])}
    with step.agent.network.with_weights(layout.named_tensors(flat)):
        given, _ = step.agent.network(states)
    np.testing.assert_array_equal(given, step.agent.network(states)[0])
