"""docs/method.md, section 11: the ends of networks, transcribed into NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_weights, vector_spec
from tests.support.method_page import equation
from tfdqn.config import MLP, Config
from tfdqn.networks.factory import q_network
from tfdqn.networks.layers.dense import LayerNorm, NoisyDense
from tfdqn.networks.noise import Noise

B, F, A = 6, 5, 3
X = np.random.default_rng(1).normal(size=(B, F)).astype(np.float32)
NOISE = Noise(7, tf.constant(3, tf.int64))


@equation(28, "tfdqn.networks.streams.stream")
def test_equation_28_dueling_streams() -> None:
    network = q_network(Config(network=MLP(hidden_units=(4,), dueling=True)), vector_spec(F, A), seed=0)
    network.create_variables()
    w = random_weights(network.named_weights(), np.random.default_rng(2))
    network.load_named_weights(w)

    def branch(name: str) -> np.ndarray:
        hidden = np.maximum(X @ w[f"{name}_hidden_0/kernel"] + w[f"{name}_hidden_0/bias"], 0)
        return hidden @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    z = branch("advantage")
    expected = branch("value") + z - z.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(network({"observation": tf.constant(X)})[0], expected, rtol=1e-3, atol=1e-4)


@equation(29, "tfdqn.networks.layers.dense.NoisyDense.call")
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_equation_29_noisy_layers(compiled: bool) -> None:
    initializers = {"kernel_initializer": tf.keras.initializers.RandomNormal(seed=1), "bias_initializer": "ones"}
    layer = NoisyDense((), F, A, None, 0.5, initializers, "float32", "q")
    layer.build(tf.TensorShape([None, F]))
    np.testing.assert_allclose(layer.kernel_sigma, np.full((F, A), 0.5 / F**0.5), rtol=1e-6)
    layer.kernel_sigma.assign(np.random.default_rng(3).normal(size=(F, A)))
    layer.bias_sigma.assign([0.1, -0.2, 0.3])
    own = NOISE.split("q")
    f_in, f_out = (
        np.sign(e) * np.sqrt(np.abs(e)) for e in (own.split("inputs").normal(F), own.split("outputs").normal(A))
    )
    kernel = layer.kernel.numpy() + layer.kernel_sigma.numpy() * np.outer(f_in, f_out)
    expected = X @ kernel + layer.bias.numpy() + layer.bias_sigma.numpy() * f_out
    call = tf.function(lambda x, step: layer(x, Noise(7, step)), autograph=False, jit_compile=compiled)
    np.testing.assert_allclose(call(tf.constant(X), NOISE.step), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer(X), X @ layer.kernel.numpy() + layer.bias.numpy(), rtol=1e-5, atol=1e-6)
    assert np.abs(call(tf.constant(X), NOISE.step + 1) - expected).min() > 1e-6


@equation(30, "tfdqn.networks.layers.dense.LayerNorm.call")
def test_equation_30_layer_normalisation() -> None:
    layer = LayerNorm((), F, "float32", "norm")
    layer.build(tf.TensorShape([None, F]))
    g, o = np.random.default_rng(4).normal(size=(2, F)).astype(np.float32)
    layer.scale.assign(g)
    layer.offset.assign(o)
    for x in (X, 1e-3 * X):
        m = x.mean(axis=1, keepdims=True)
        v = ((x - m) ** 2).mean(axis=1, keepdims=True)
        np.testing.assert_allclose(layer(x), g * (x - m) / np.sqrt(v + 1e-6) + o, rtol=1e-3, atol=1e-4)
