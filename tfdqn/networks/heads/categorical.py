"""`CategoricalHead`: a distribution of the return over fixed atoms: Bellemare et al. 2017, section 4."""

import numpy as np
import tensorflow as tf

from tfdqn.config import C51, Config
from tfdqn.networks.heads.head import Head, NumpyHead
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.streams import Stream, stream, stream_numpy
from tfdqn.types import Rng, Weights


class CategoricalHead(Head):
    """A head whose outputs are logits float32[…, B, A, atoms]; Q(s, a) = Σ_i z_i p_i(s, a), with p their softmax."""

    def __init__(self, stream: Stream, atoms: np.ndarray):
        super().__init__(stream)
        self._atoms = atoms

    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.nn.softmax(outputs) * self._atoms, axis=-1)


def support(settings: C51) -> np.ndarray:
    """The atoms z float32[atoms], evenly spaced from `v_min` to `v_max`."""
    return np.linspace(settings.v_min, settings.v_max, settings.atoms, dtype=np.float32)


def categorical(config: Config, width: int, num_actions: int, make: LayerFactory) -> CategoricalHead:
    """Makes a head with a logit for each action and atom."""
    settings = config.agent
    assert isinstance(settings, C51)
    return CategoricalHead(stream(config, width, num_actions, make, settings.atoms), support(settings))


def categorical_numpy(config: Config) -> NumpyHead:
    """`categorical` on NumPy arrays."""
    settings = config.agent
    assert isinstance(settings, C51)
    logits, atoms = stream_numpy(config, settings.atoms), support(settings)

    def head(weights: Weights, features: np.ndarray, rng: Rng | None) -> np.ndarray:
        outputs = logits(weights, features, rng)
        weight = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return weight @ atoms / weight.sum(axis=-1)

    return head
