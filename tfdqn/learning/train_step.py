"""`TrainStep`: one update of one replica, from a sample to new weights; every strategy drives this same function.

Gradients are summed over the replicas, *then* clipped by their global norm, *then* applied, so that the number
of replicas never changes the algorithm.
"""

from typing import NamedTuple

import tensorflow as tf
from tf_agents.agents import tf_agent

from tfdqn.agents import DqnAgent
from tfdqn.config import Config
from tfdqn.learning.optimizers import create_slots, make_optimizer, named_slots
from tfdqn.replay.items import Sample


class UpdateMetrics(NamedTuple):
    """What one update tells, float32 scalars (a leading axis [K] after K updates)."""

    loss: tf.Tensor
    mean_q: tf.Tensor  # mean over the batch of Q(s, a)
    max_q: tf.Tensor  # maximum over the batch of max_a Q(s, a)
    mean_abs_td_error: tf.Tensor
    gradient_norm: tf.Tensor  # global, before clipping


class Update(NamedTuple):
    """What one update gives."""

    metrics: UpdateMetrics
    td_error: tf.Tensor  # float32[B], of each example: what priorities are made of


class TrainStep:
    """The agent's update: gradients, clipping, optimiser, target network, counter.

    Args:
      agent: gives the loss and the two networks.
      config: `optimizer`, and of `agent` the clipping and the target updates.
    """

    def __init__(self, agent: DqnAgent, config: Config):
        self.agent = agent
        self.optimizer = make_optimizer(config.optimizer)
        self.train_steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="train_steps")
        self._settings = config.agent
        self._weights = list(agent.network.named_weights().values())
        self._target_weights = list(agent.target_network.named_weights().values())
        create_slots(self.optimizer, self._weights)

    def __call__(self, sample: Sample) -> Update:
        """One update from a batch with leading axis B (this replica's share of the global batch)."""
        gradients, loss_info = self.gradients(sample)
        norm = tf.linalg.global_norm(gradients)
        if self._settings.gradient_clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._settings.gradient_clip_norm, norm)
        self.optimizer.apply_gradients(
            zip(gradients, self._weights, strict=True), experimental_aggregate_gradients=False
        )
        self.train_steps.assign_add(1)
        self._update_target()
        extra = loss_info.extra
        metrics = UpdateMetrics(
            loss=loss_info.loss,
            mean_q=tf.reduce_mean(extra.q_value),
            max_q=tf.reduce_max(extra.max_q_value),
            mean_abs_td_error=tf.reduce_mean(tf.abs(extra.td_error)),
            gradient_norm=norm,
        )
        return Update(metrics, extra.td_error)

    def gradients(self, sample: Sample) -> tuple[list[tf.Tensor], tf_agent.LossInfo]:
        """(gradient per weight, summed over the replicas; the agent's `LossInfo`)."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._weights)
            loss_info = self.agent.loss(sample.transition, weights=sample.weights, training=True)
            replica_loss = loss_info.loss / tf.distribute.get_strategy().num_replicas_in_sync
        gradients = tape.gradient(replica_loss, self._weights)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        return gradients, loss_info

    def named_variables(self) -> dict[str, tf.Variable]:
        """Everything that an update reads and writes, by canonical name: what a checkpoint holds."""
        weights = self.agent.network.named_weights()
        target = self.agent.target_network.named_weights()
        slots = named_slots(self.optimizer, weights)
        return {
            "train_steps": self.train_steps,
            **{f"online/{name}": weight for name, weight in weights.items()},
            **{f"target/{name}": weight for name, weight in target.items()},
            **{f"optimizer/{name}": slot for name, slot in slots.items()},
        }

    def _update_target(self) -> None:
        """Copies the online weights to the target every so many updates (tau < 1: moves it a part of the way)."""
        period, tau = self._settings.target_update_period_train_steps, self._settings.target_update_tau

        def update() -> tf.Tensor:
            for target, online in zip(self._target_weights, self._weights, strict=True):
                target.assign(online if tau == 1 else target + tau * (online - target))
            return tf.constant(True)

        if period == 1:
            update()
        else:
            due = tf.equal(self.train_steps % period, 0)
            tf.cond(due, update, lambda: tf.constant(False))
