"""`TrainStep`: one update of one replica, from a sample to new weights; every strategy uses it.

Gradients are summed over the replicas, *then* clipped by their global norm, *then* applied, so that the number
of replicas never changes the algorithm.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent

from tfdqn.agents.dqn import DqnAgent
from tfdqn.config import Config
from tfdqn.errors import OwnCodeError, listed
from tfdqn.learning.optimizers import clipped, create_slots, make_optimizer, named_slots
from tfdqn.networks.noise import Noise
from tfdqn.randomness import derived_seed
from tfdqn.replay.interfaces import Sample
from tfdqn.storage.arrays import add_prefix


class UpdateMetrics(NamedTuple):
    """The metrics of one update, float32 scalars (with a leading axis [K] for K updates)."""

    loss: tf.Tensor  # for an ensemble the mean over the members
    mean_q: tf.Tensor  # mean over the batch of Q(s, a)
    max_q: tf.Tensor  # maximum over the batch of max_a Q(s, a)
    mean_abs_td_error: tf.Tensor
    gradient_norm: tf.Tensor  # global, before clipping; for an ensemble the mean over the members
    disagreement: tf.Tensor  # standard deviation of Q(s, a) over members, mean over the batch; NaN without an ensemble
    of_loss: tuple[tf.Tensor, ...] = ()  # the loss's own, in the order of `agent.metrics`; means over the batch

    @classmethod
    def of_columns(cls, columns: np.ndarray | Sequence[np.ndarray]) -> "UpdateMetrics":
        """The inverse of `columns`."""
        common, of_loss = columns[:_COMMON], tuple(columns[_COMMON:])
        return cls(*common)._replace(of_loss=of_loss)

    def columns(self) -> list[Any]:
        """All metrics, the loss's own last."""
        return [*self[:_COMMON], *self.of_loss]

    def mean(self, names_of_loss: Sequence[str] = ()) -> dict[str, float]:
        """The means over K updates, by the names they are recorded by, and the maximum of `max_q`.

        Metrics that don't apply are left out. `names_of_loss` are those of `of_loss`.
        """
        names = [
            *(f"learning/{name}" for name in self._fields[:_COMMON]),
            *(f"learning/loss_{name}" for name in names_of_loss),
        ]
        numbers = {
            name: float(np.max(values) if name == "learning/max_q" else np.mean(values))
            for name, values in zip(names, self.columns(), strict=True)
        }
        return {name: number for name, number in numbers.items() if not np.isnan(number)}


_COMMON = len(UpdateMetrics._fields) - 1  # the metrics of every loss
MAX_Q = UpdateMetrics._fields.index("max_q")  # the column of which the maximum counts, not the mean


class UpdateOutput(NamedTuple):
    """The result of one update."""

    metrics: UpdateMetrics
    errors: tf.Tensor | None  # float32[B], the TD errors for priorities; None: sampling is uniform

    def row(self) -> tf.Tensor:
        """The whole result as one vector: the M metrics, and with priorities the TD errors: float32[M] or [M + B]."""
        metrics = tf.stack(self.metrics.columns())
        return metrics if self.errors is None else tf.concat([metrics, self.errors], axis=0)


class TrainStep:
    """The agent's update: gradients, clipping, optimizer, target network, counter.

    `first` is the index in the global batch at which this replica's share begins, unless a `tf.distribute` strategy
    determines it.
    """

    def __init__(self, agent: DqnAgent, config: Config, first: int = 0):
        self.agent = agent
        self._first = first
        self._noise_key = derived_seed(config.seed, "noise")
        self.optimizer = make_optimizer(config.optimizer)
        self.train_steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="train_steps")
        self._settings = config.agent
        self.num_metrics = _COMMON + len(config.agent.metrics)
        self._tells_errors = config.priorities.are_used
        self._gradients = self.gradients
        self._weights = list(agent.network.learned_weights().values())
        targets = agent.target_weights
        self._target = [targets[name] for name in agent.network.learned_weights() if targets]
        self._is_on_gpu = any("GPU" in weight.device for weight in self._target)
        create_slots(self.optimizer, self._weights)

    def __call__(self, sample: Sample) -> UpdateOutput:
        """Makes one update from a batch with leading axis B (this replica's share of the global batch)."""
        context = tf.distribute.get_replica_context()
        replicas = 1 if context is None else context.num_replicas_in_sync
        first = self._first if replicas == 1 else context.replica_id_in_sync_group * sample.size
        gradients, loss_info = self._gradients(sample, 1 / replicas, first=first)
        if replicas > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        gradients, norm = self.clipped(gradients)
        self.count(sample, tf.identity if replicas == 1 else partial(context.all_reduce, tf.distribute.ReduceOp.SUM))
        self.apply(gradients)
        return self.output(loss_info, norm)

    def row(self, sample: Sample) -> tf.Tensor:
        """Makes one update; returns its result as one vector, `UpdateOutput.row`."""
        return self(sample).row()

    def row_size(self, batch_size: int) -> int:
        """The size of the row of an update from a batch of that size."""
        return self.num_metrics + (batch_size if self._tells_errors else 0)

    def output(self, loss_info: tf_agent.LossInfo, gradient_norm: tf.Tensor) -> UpdateOutput:
        """The result of an update."""
        extra, members = loss_info.extra, self.agent.members
        metrics = UpdateMetrics(
            loss=loss_info.loss if members == 1 else loss_info.loss / members,
            mean_q=tf.reduce_mean(extra.q_value),
            max_q=tf.reduce_max(extra.max_q_value),
            mean_abs_td_error=tf.reduce_mean(tf.abs(extra.td_error)),
            gradient_norm=gradient_norm,
            disagreement=tf.constant(np.nan, tf.float32)
            if extra.disagreement is None
            else tf.reduce_mean(extra.disagreement),
            of_loss=tuple(tf.reduce_mean(extra.metrics[name]) for name in self._settings.metrics),
        )
        return UpdateOutput(metrics, extra.priority if self._tells_errors else None)

    def gradients(
        self,
        sample: Sample,
        share: float = 1.0,
        weights: list[tf.Tensor] | None = None,
        step: tf.Tensor | None = None,
        first: int | tf.Tensor | None = None,
    ) -> tuple[list[tf.Tensor], tf_agent.LossInfo]:
        """Computes the gradients of `share` times the batch's mean loss.

        Args:
          share: the sample's fraction of the global batch.
          weights: the tensors to differentiate by, which the online network uses; None: its own variables.
          step: the update's number, which determines the noise; None: this train step's own count.
          first: the index in the global batch at which the sample begins; None: this train step's `first`.

        Returns:
          (the gradient by each weight, the agent's `LossInfo`).
        """
        noise = Noise(
            self._noise_key, self.train_steps if step is None else step, self._first if first is None else first
        )
        by = self._weights if weights is None else weights
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(by)
            loss_info = self.agent.loss(sample.transition, weights=sample.weights, noise=noise)
            loss = share * loss_info.loss
        gradients = tape.gradient(loss, by)
        names = self.agent.network.learned_weights()
        if unused := [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]:
            raise OwnCodeError(
                f'agent.kind = "{self._settings.kind}": the loss has no gradient with respect to {listed(unused)}: '
                "each weight that the network makes must be used, and its gradient not be stopped"
            )
        return gradients, loss_info

    def compile_gradients(self) -> None:
        """Makes XLA compile only each replica's gradient, because it can't compile the exchange between replicas."""
        self._gradients = tf.function(self.gradients, jit_compile=True, autograph=False)

    def clipped(self, gradients: list[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Clips gradients to `agent.gradient_clip_norm`; returns them, and their global norm before that, float32."""
        return clipped(gradients, self._settings.gradient_clip_norm, self.agent.members)

    def count(self, sample: Sample, total: Callable[[tf.Tensor], tf.Tensor] = tf.identity) -> None:
        """Merges a sample's observations into the networks' running statistics, if they have any.

        The target network always has the same as the online network: by its own, which would follow as slowly as its
        weights, it would hardly normalise anything at first.

        `total` returns the sum of a tensor over all replicas, each of which has a part of the batch.
        """
        for key, moments in self.agent.moments(sample.transition, sample.weights, total).items():
            statistics = self.agent.network.statistics[key]
            statistics.add(moments)
            if self._target:
                self.agent.target_network.statistics[key].assign(statistics.moments)

    def apply(self, gradients: list[tf.Tensor]) -> None:
        """Applies gradients by the optimizer, counts the update, and updates the target network if that is due."""
        self.optimizer.apply_gradients(
            zip(gradients, self._weights, strict=True), experimental_aggregate_gradients=False
        )
        self.train_steps.assign_add(1)
        if self._target:
            self._update_target()

    def named_variables(self) -> dict[str, tf.Variable]:
        """All variables that an update reads and writes, by canonical name."""
        slots = named_slots(self.optimizer, self.agent.network.learned_weights())
        return {
            "train_steps": self.train_steps,
            **add_prefix("online", self.agent.network.named_weights()),
            **add_prefix("target", self.agent.target_weights),
            **add_prefix("optimizer", slots),
        }

    def state(self) -> dict[str, np.ndarray]:
        """The state for a checkpoint: NumPy arrays by canonical name, the same for every strategy."""
        arrays = {name: variable.numpy() for name, variable in self.named_variables().items()}
        return self.agent.network.join(arrays)

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned, under any strategy.

        The target network gets the online network's running statistics: in earlier revisions' checkpoints its own lag.
        """
        network = self.agent.network
        counted = network.named_weights().keys() - network.learned_weights().keys()
        source = {f"target/{name}": f"online/{name}" for name in counted}
        for name, variable in self.named_variables().items():
            variable.assign(network.piece(arrays, source.get(name, name)))

    def _update_target(self) -> None:
        """Copies the online weights to the target if that is due; with tau < 1, moves the target part of the way."""
        period = self._settings.target_update_period_train_steps
        if period == 1:
            self._move_target()
            return
        is_due = tf.equal(self.train_steps % period, 0)
        if self._is_on_gpu:
            self._move_target(is_due)
            return

        def move() -> tf.Tensor:
            self._move_target()
            return tf.constant(True)

        tf.cond(is_due, move, lambda: tf.constant(False))

    def _move_target(self, is_due: tf.Tensor | None = None) -> None:
        """Updates the target weights. If `is_due`, bool[], is given and false, writes their old values instead.

        A branch on a value on a GPU would make the host wait for it, whereas writing the GPU's memory is fast.
        """
        for target, online in zip(self._target, self._weights, strict=True):
            with tf.device(target.device):  # TensorFlow would compute all pieces on the first device
                moved = moved_target(target, online, self._settings.target_update_tau)
                target.assign(moved if is_due is None else tf.where(is_due, moved, target))


def moved_target(target: tf.Tensor, online: tf.Tensor, tau: float) -> tf.Tensor:
    """The target weights after one update of them: the online ones, or with tau < 1 a part of the way to them."""
    return online if tau == 1 else target + tau * (online - target)
