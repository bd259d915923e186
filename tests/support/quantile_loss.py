"""A loss with a head of its own, as a package outside tfdqn would add it: quantile regression (Dabney et al. 2018)."""

from typing import Annotated

import numpy as np
import tensorflow as tf
from msgspec import Meta

from tfdqn.agents.loss import Batch, LossOutput, Networks
from tfdqn.agents.losses.table import LOSSES
from tfdqn.agents.losses.td import huber_loss, value_of_action
from tfdqn.config import Agent, Config
from tfdqn.config.fields import doc
from tfdqn.networks.heads import HEADS, Head, HeadKind, NumpyHead, output_layer, output_numpy
from tfdqn.networks.layers.plain import Layer, LayerFactory
from tfdqn.networks.legal_actions import greedy


class Quantiles(
    Agent, frozen=True, kw_only=True, tag_field="kind", tag="tests.support.quantile_loss:quantiles"
):
    """N quantiles of the return of each action."""

    quantiles: Annotated[int, Meta(ge=1, le=200), doc("N")] = 8


class QuantileHead(Head):
    """Outputs float32[B, A, N], of which Q is the mean."""

    def __init__(self, layer: Layer, num_actions: int, quantiles: int):
        self._layer, self._shape = layer, [-1, num_actions, quantiles]

    def outputs(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.reshape(self._layer(features), self._shape)

    def q_values(self, outputs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(outputs, axis=-1)


def head(config: Config, width: int, num_actions: int, make: LayerFactory) -> QuantileHead:
    quantiles = config.agent.quantiles
    return QuantileHead(output_layer(config, num_actions * quantiles, width, make), num_actions, quantiles)


def head_numpy(config: Config) -> NumpyHead:
    output, quantiles = output_numpy(config), config.agent.quantiles
    return lambda weights, features: np.mean(
        output(weights, features).reshape(len(features), -1, quantiles), axis=-1
    )


def quantile_regression(settings: Quantiles, networks: Networks, batch: Batch) -> LossOutput:
    """Their equation 10: Σ_i mean_j ρ_{τ_i}(r + γ θ⁻_j(s', a*) − θ_i(s, a)), with κ = 1."""
    theta_tm1, _ = networks.online.outputs(batch.observation_tm1, training=networks.training)
    theta_t, _ = networks.target.outputs(batch.observation_t)
    best = greedy(networks.target.head.q_values(theta_t), batch.legal_t)
    predicted = tf.gather(theta_tm1, batch.action_tm1, batch_dims=1)
    target = batch.r_t[:, None] + batch.discount_t[:, None] * tf.gather(theta_t, best, batch_dims=1)
    error = tf.stop_gradient(target)[:, None, :] - predicted[:, :, None]  # [B, i, j]
    tau = (tf.range(settings.quantiles, dtype=tf.float32) + 0.5) / settings.quantiles
    weight = tf.abs(tau[:, None] - tf.cast(error < 0, tf.float32))
    loss = tf.reduce_sum(tf.reduce_mean(weight * huber_loss(error, 1.0), axis=2), axis=1)
    q_tm1 = networks.online.head.q_values(theta_tm1)
    q_value = value_of_action(q_tm1, batch.action_tm1)
    return LossOutput(loss, tf.reduce_mean(target, axis=1) - q_value, q_tm1, q_value)


HEADS[Quantiles] = HeadKind(head, head_numpy)
LOSSES[Quantiles] = quantile_regression
