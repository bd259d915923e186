"""Memories against Keras's own layers, step by step and over whole sequences, and their gradients."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks.layers.memory import GRU, LSTM, Memory, biases

B, T, F, U = 5, 7, 3, 4
KINDS = pytest.mark.parametrize("kind", [LSTM, GRU])


def memory(kind: type[Memory], rng: np.random.Generator) -> Memory:
    """One whose every weight is random."""
    normal = tf.keras.initializers.Zeros()
    layer = kind(F, U, {"kernel": normal, "recurrent_kernel": normal, **biases(kind, U)}, "memory")
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def keras_layer(layer: Memory) -> Any:
    """Keras's layer with the same weights."""
    options = {"return_sequences": True, "return_state": True}
    of_keras = tf.keras.layers.LSTM(U, **options) if isinstance(layer, LSTM) else tf.keras.layers.GRU(U, **options)
    of_keras(tf.zeros([1, T, F]))
    bias = layer.bias.numpy()
    if isinstance(layer, GRU):
        bias = np.stack([bias, layer.recurrent_bias.numpy()])
    of_keras.set_weights([layer.kernel.numpy(), layer.recurrent_kernel.numpy(), bias])
    return of_keras


def inputs(layer: Memory, rng: np.random.Generator) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.constant(rng.normal(size=(B, T, F)), tf.float32), tf.constant(
        rng.normal(size=(B, layer.state_size)), tf.float32
    )


def halves(layer: Memory, state: tf.Tensor) -> list[tf.Tensor]:
    return tf.split(state, layer.state_size // U, axis=1)


@KINDS
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_sequence_is_what_keras_makes_of_it_and_so_are_its_gradients(kind: type[Memory], jit_compile: bool) -> None:
    rng = np.random.default_rng(1)
    layer = memory(kind, rng)
    of_keras = keras_layer(layer)
    x, state = inputs(layer, rng)
    weight = tf.constant(rng.normal(size=(B, T, U)), tf.float32)

    def ours() -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            tape.watch([x, state])
            outputs, last = layer.unroll(x, state, tf.zeros(B, tf.int32))
            loss = tf.reduce_sum(weight * outputs)
        return outputs, last, tape.gradient(loss, [x, state, layer.kernel, layer.recurrent_kernel, layer.bias])

    outputs, last, gradients = tf.function(ours, jit_compile=jit_compile, autograph=False)()
    with tf.GradientTape() as tape:
        tape.watch([x, state])
        expected, *states = of_keras(x, initial_state=halves(layer, state))
        loss = tf.reduce_sum(weight * expected)
    expected_gradients = tape.gradient(loss, [x, state, *of_keras.trainable_variables])
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(last, tf.concat(states, axis=1), atol=1e-5)
    for found, other in zip(gradients, expected_gradients, strict=True):
        other = other[0] if other.shape.rank == 2 and found.shape.rank == 1 else other
        np.testing.assert_allclose(found, other, rtol=1e-3, atol=1e-4)


@KINDS
def test_a_sequence_is_its_steps_one_after_another(kind: type[Memory]) -> None:
    rng = np.random.default_rng(2)
    layer = memory(kind, rng)
    x, state = inputs(layer, rng)
    outputs, last = layer.unroll(x, state, tf.zeros(B, tf.int32))
    for t in range(T):
        output, state = layer(x[:, t], state)
        np.testing.assert_allclose(outputs[:, t], output, atol=1e-6)
    np.testing.assert_allclose(last, state, atol=1e-6)


@KINDS
def test_steps_before_the_first_change_nothing(kind: type[Memory]) -> None:
    rng = np.random.default_rng(3)
    layer = memory(kind, rng)
    x, state = inputs(layer, rng)
    first = [0, 1, 3, T - 1, T]
    outputs, last = layer.unroll(x, state, tf.constant(first, tf.int32))
    for b, start in enumerate(first):
        alone, alone_last = layer.unroll(x[b : b + 1, start:], state[b : b + 1], tf.zeros(1, tf.int32))
        np.testing.assert_allclose(outputs[b, start:], alone[0], atol=1e-6)
        np.testing.assert_allclose(last[b], alone_last[0], atol=1e-6)


def test_an_lstm_begins_with_open_forget_gates() -> None:
    assert LSTM.shapes(F, U)["bias"] == (4 * U,)
    np.testing.assert_array_equal(biases(LSTM, U)["bias"]([4 * U]), [0] * U + [1] * U + [0] * 2 * U)
