"""A loss, its head and a torso, as a package outside tfdqn would add them.

The loss is quantile regression (Dabney et al. 2018); the torso takes observations of any size (symlog, Hafner et al.
2023).
"""

from typing import Annotated

import numpy as np
import tensorflow as tf

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.table import LOSSES
from tfdqn.agents.losses.td import huber_loss, value_of_action
from tfdqn.config import Agent, Config, Network
from tfdqn.config.fields import doc
from tfdqn.networks.best_actions import greedy
from tfdqn.networks.encoding import encode, encode_numpy, num_features
from tfdqn.networks.heads.head import Head, HeadKind, NumpyHead
from tfdqn.networks.heads.table import HEADS
from tfdqn.networks.layers.plain import LayerFactory
from tfdqn.networks.noise import Noise
from tfdqn.networks.streams import Stream, stream, stream_numpy
from tfdqn.networks.torsos.table import TORSOS
from tfdqn.networks.torsos.torso import NumpyTorso, Torso, TorsoKind
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Weights


class Quantiles(Agent, frozen=True, kw_only=True, tag_field="kind", tag="tests.support.own_algorithm:quantiles"):
    """N quantiles of the return of each action."""

    metrics = ("spread",)

    quantiles: Annotated[int, doc("N", ge=1, le=200)] = 8


class Symlog(Network, frozen=True, kw_only=True, tag_field="kind", tag="tests.support.own_algorithm:symlog"):
    """A dense layer over sign(x) log(1 + |x|)."""

    units: Annotated[int, doc("width of the layer", ge=1)] = 32


def symlog(settings: Symlog, task_spec: TaskSpec, make: LayerFactory) -> Torso:
    layer = make.dense("hidden_0", settings.units, "relu", fan_in=num_features(task_spec))

    def features(observation: dict[str, tf.Tensor]) -> tf.Tensor:
        x = encode(observation, task_spec)
        return layer(tf.sign(x) * tf.math.log1p(tf.abs(x)))

    return Torso(settings.units, features)


def symlog_numpy(settings: Symlog, task_spec: TaskSpec) -> NumpyTorso:
    def features(weights: Weights, observation: dict[str, np.ndarray]) -> np.ndarray:
        x = encode_numpy(observation, task_spec)
        x = np.sign(x) * np.log1p(np.abs(x))
        return np.maximum(x @ weights["hidden_0/kernel"] + weights["hidden_0/bias"], 0)

    return features


class QuantileHead(Head):
    """Outputs float32[B, A, N], of which Q is the mean."""

    def __init__(self, stream: Stream):
        self._stream = stream

    def outputs(self, features: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        return self._stream(features, noise)

    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(outputs, axis=-1)


def head(config: Config, width: int, num_actions: int, make: LayerFactory) -> QuantileHead:
    return QuantileHead(stream(config, width, num_actions, make, config.agent.quantiles))


def head_numpy(config: Config) -> NumpyHead:
    quantiles = stream_numpy(config, config.agent.quantiles)
    return lambda weights, features, rng: quantiles(weights, features, rng).mean(axis=-1)


def quantile_regression(settings: Quantiles, networks: Networks, batch: Batch) -> LossOutput:
    """Their equation 10: Σ_i mean_j ρ_{τ_i}(r + γ θ⁻_j(s', a*) − θ_i(s, a)), with κ = 1."""
    theta_tm1 = networks.online.outputs(batch.observation_tm1)
    theta_t = networks.target.outputs(batch.observation_t)
    best = greedy(networks.target.head.q_values(theta_t), batch.legal_t)
    predicted = tf.gather(theta_tm1, batch.action_tm1, batch_dims=1)
    target = batch.r_t[:, None] + batch.discount_t[:, None] * tf.gather(theta_t, best, batch_dims=1)
    error = tf.stop_gradient(target)[:, None, :] - predicted[:, :, None]  # [B, i, j]
    tau = (tf.range(settings.quantiles, dtype=tf.float32) + 0.5) / settings.quantiles
    weight = tf.abs(tau[:, None] - tf.cast(error < 0, tf.float32))
    loss = tf.reduce_sum(tf.reduce_mean(weight * huber_loss(error, 1.0), axis=2), axis=1)
    q_tm1 = networks.online.head.q_values(theta_tm1)
    q_value = value_of_action(q_tm1, batch.action_tm1)
    spread = tf.math.reduce_std(predicted, axis=1)
    return LossOutput(loss, tf.reduce_mean(target, axis=1) - q_value, q_tm1, q_value, {"spread": spread})


TORSOS[Symlog] = TorsoKind(symlog, symlog_numpy)
HEADS[Quantiles] = HeadKind(head, head_numpy)
LOSSES[Quantiles] = quantile_regression
