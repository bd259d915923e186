"""Memories: recurrent layers, which compute one step at a time or a whole sequence.

The matrix product of the inputs is computed for all steps of a sequence at once. All compute in float32, because the
state is a sum over many steps.
"""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import tensorflow as tf

from tfdqn.networks.layers.dense import Initializer


class Memory(tf.keras.layers.Layer):
    """A recurrent layer of U units; its state is float32[B, S], zeros where an episode begins.

    Args:
      fan_in: F, the width of its inputs.
      units: U.
      initializers: those of `kernel` float32[F, G · U], `recurrent_kernel` float32[U, G · U], where G is the number of
        gates, and of the biases.
    """

    gates: int
    states: int  # S / U

    def __init__(self, fan_in: int, units: int, initializers: dict[str, Initializer], name: str):
        super().__init__(name=name, dtype="float32")
        self.units, self.state_size = units, self.states * units
        for weight, shape in self.shapes(fan_in, units).items():
            setattr(self, weight, self.add_weight(weight, shape, initializer=initializers[weight]))

    @classmethod
    def shapes(cls, fan_in: int, units: int) -> dict[str, tuple[int, ...]]:
        """The shapes of its weights, by name."""
        width = cls.gates * units
        return {"kernel": (fan_in, width), "recurrent_kernel": (units, width), "bias": (width,)}

    def call(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes one step: inputs float32[B, F], state [B, S] → (outputs [B, U], the next state)."""
        return self.step(self.project(inputs), state)

    def unroll(self, inputs: tf.Tensor, state: tf.Tensor, first: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes T steps: inputs float32[B, T, F], state [B, S] → (outputs [B, T, U], the state after them).

        In row b, the steps before first[b], int32[B], don't change the state.
        """
        steps = inputs.shape[1]
        projected = tf.transpose(self.project(inputs), [1, 0, 2])
        outputs = tf.TensorArray(tf.float32, steps, element_shape=[inputs.shape[0], self.units])

        def one(i: tf.Tensor, state: tf.Tensor, outputs: tf.TensorArray) -> tuple:
            output, following = self.step(projected[i], state)
            return i + 1, tf.where(i >= first[:, tf.newaxis], following, state), outputs.write(i, output)

        _, state, outputs = tf.while_loop(
            lambda i, *_: i < steps, one, (0, state, outputs), maximum_iterations=steps, parallel_iterations=1
        )
        return tf.transpose(outputs.stack(), [1, 0, 2]), state

    def project(self, inputs: tf.Tensor) -> tf.Tensor:
        """Projects inputs float32[…, F] to the gates, […, G · U]."""
        return tf.tensordot(tf.cast(inputs, tf.float32), self.kernel, 1) + self.bias

    @abstractmethod
    def step(self, projected: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes one step from projected inputs [B, G · U]; otherwise as `call`."""


class LSTM(Memory):
    """Hochreiter and Schmidhuber 1997, with Gers et al. 2000's forget gate, initially open (Jozefowicz et al. 2015).

    With gates i, f, g, o of x W + h U + b: c ← σ(f) c + σ(i) tanh(g), h ← σ(o) tanh(c). The state is (h, c).
    """

    gates, states = 4, 2

    def step(self, projected: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        h, c = tf.split(state, 2, axis=-1)
        i, f, g, o = tf.split(projected + tf.matmul(h, self.recurrent_kernel), 4, axis=-1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, tf.concat([h, c], axis=-1)


class GRU(Memory):
    """Cho et al. 2014, with the reset gate applied after the matrix product, as in cuDNN.

    With z, r, g of x W + b and z', r', g' of h U + b': h ← σ(z + z') h + (1 − σ(z + z')) tanh(g + σ(r + r') g').
    """

    gates, states = 3, 1

    @classmethod
    def shapes(cls, fan_in: int, units: int) -> dict[str, tuple[int, ...]]:
        return super().shapes(fan_in, units) | {"recurrent_bias": (cls.gates * units,)}

    def step(self, projected: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        z, r, g = tf.split(projected, 3, axis=-1)
        own_z, own_r, own_g = tf.split(tf.matmul(state, self.recurrent_kernel) + self.recurrent_bias, 3, axis=-1)
        update = tf.sigmoid(z + own_z)
        h = update * state + (1 - update) * tf.tanh(g + tf.sigmoid(r + own_r) * own_g)
        return h, h


MEMORIES: dict[str, type[LSTM | GRU]] = {"lstm": LSTM, "gru": GRU}


def biases(kind: type[Memory], units: int) -> dict[str, Initializer]:
    """The initialisers of a memory's biases: zeros, except for an LSTM's forget gates, which are initially open."""
    bias = partial(_forget_gates_open, units) if kind is LSTM else tf.keras.initializers.Zeros()
    return {"bias": bias, "recurrent_bias": tf.keras.initializers.Zeros()}


def _forget_gates_open(units: int, shape: Sequence[int], dtype: tf.DType = tf.float32) -> tf.Tensor:
    return tf.concat([tf.zeros(units, dtype), tf.ones(units, dtype), tf.zeros(2 * units, dtype)], axis=0)
