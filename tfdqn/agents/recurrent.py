"""`RecurrentAgent`: networks with a memory, unrolled over sequences, as in R2D2 (Kapturowski et al. 2019).

Both networks are unrolled from the state that was stored with a sequence: first over the burn-in, without a gradient,
then over the steps to learn from (their section 3, "stored state" and "burn-in" together). The loss of `[agent]` gets
the steps of all sequences as one batch of transitions, whose observations are the features of the unrolled memory.
"""

from typing import Any

import tensorflow as tf
from tf_agents.agents import tf_agent

from tfdqn.agents.dqn import DqnAgent, LossExtra
from tfdqn.agents.loss import Batch, LossNetwork, Sequences
from tfdqn.config import Config
from tfdqn.networks.noise import Noise
from tfdqn.networks.q_network import QNetwork
from tfdqn.networks.torsos.torso import Observation
from tfdqn.task_spec import TaskSpec

_ETA = 0.9  # weight of the largest TD error in a sequence's priority: Kapturowski et al. 2019, section 2.3


class UnrolledNetwork(LossNetwork):
    """A network whose observations are the features of the unrolled memories of both networks, by the networks' names.

    `name` is the key of its own.
    """

    def __init__(self, network: QNetwork, name: str, noise: Noise | None):
        super().__init__(network, noise)
        self._name = name

    def outputs(self, observation: Observation) -> tf.Tensor:
        return self.head.outputs(self.features(observation), self.noise())

    def features(self, observation: Observation) -> tf.Tensor:
        return observation[self._name]


class RecurrentAgent(DqnAgent):
    """A `DqnAgent` whose networks have a memory, and which learns from `Sequences`; arguments as of that."""

    def __init__(self, config: Config, task_spec: TaskSpec):
        self._burn_in, self._steps = config.replay.burn_in, config.replay.sequence_length
        super().__init__(config, task_spec)

    def _loss(
        self,
        experience: Sequences,
        weights: tf.Tensor | None = None,
        training: bool = False,
        noise: Noise | None = None,
    ) -> tf_agent.LossInfo:
        """Computes the mean loss of B sequences, each the mean over its steps, and figures of each sequence.

        Padding doesn't count in any mean. Arguments as of `DqnAgent`. In `LossExtra`, `priority` is `sequence_error`,
        and `td_error` the mean absolute error of the steps.
        """
        # Each step is an example of its own to the loss, so noise is drawn by its place among all sequences' steps.
        of_steps = None if noise is None else noise._replace(first=noise.first * self._steps)
        output = self._output(self._batch(experience), of_steps)
        is_step = experience.steps > 0
        loss = mean_of_steps(self._by_sequence(output.loss), is_step)
        best = self._by_sequence(self._best(output.q_tm1))
        td_error = self._by_sequence(output.td_error)
        extra = LossExtra(
            td_error=mean_of_steps(tf.abs(td_error), is_step),
            priority=sequence_error(td_error, is_step),
            q_value=mean_of_steps(self._by_sequence(output.q_value), is_step),
            max_q_value=tf.reduce_max(tf.where(is_step, best, best.dtype.min), axis=1),
            metrics={
                name: mean_of_steps(self._by_sequence(values), is_step) for name, values in output.metrics.items()
            },
        )
        return tf_agent.LossInfo(tf.reduce_mean(loss if weights is None else loss * weights), extra)

    def _seen(self, experience: Sequences, counts: tf.Tensor | None) -> tuple[Observation, tf.Tensor]:
        """The observations of all steps [B · m, …], and their counts, 0 for padding."""
        first = self._burn_in
        steps = {key: _flat(array[:, first : first + self._steps]) for key, array in experience.observation.items()}
        is_step = tf.cast(experience.steps > 0, tf.float32)
        return steps, _flat(is_step if counts is None else is_step * counts[:, tf.newaxis])

    def _loss_network(self, network: QNetwork, name: str, noise: Noise | None) -> LossNetwork:
        return UnrolledNetwork(network, name, noise)

    def _batch(self, experience: Sequences) -> Batch:
        """Makes one batch of the steps of all sequences, with leading axis B · m."""
        ends = {name: self._unrolled(network, experience) for name, network in self._both_networks.items()}
        return Batch(
            {name: before for name, (before, _) in ends.items()},
            _legal(experience.legal_tm1, experience.steps),
            _flat(experience.action),
            self._settings.reward_scale * _flat(experience.reward),
            _flat(experience.discount),
            {name: after for name, (_, after) in ends.items()},
            _legal(experience.legal_t, experience.steps),
        )

    def _unrolled(self, network: QNetwork, sequences: Sequences) -> tuple[tf.Tensor, tf.Tensor]:
        """A network's features at the start and at the end of each step's transition, float32[B · m, F] both."""
        before = {key: array[:, : self._burn_in] for key, array in sequences.observation.items()}
        learned = {key: array[:, self._burn_in :] for key, array in sequences.observation.items()}
        state, first = sequences.state, sequences.first
        if self._burn_in:
            _, state = network.unroll(before, state, first)
        features, _ = network.unroll(learned, tf.stop_gradient(state), tf.zeros_like(first))
        ends = tf.range(self._steps) + sequences.steps
        return _flat(features[:, : self._steps]), _flat(tf.gather(features, ends, batch_dims=1))

    def _by_sequence(self, of_steps: tf.Tensor) -> tf.Tensor:
        """[B · m] → [B, m]."""
        return tf.reshape(of_steps, [-1, self._steps])


def mean_of_steps(values: tf.Tensor, is_step: tf.Tensor) -> tf.Tensor:
    """The mean of values float32[B, m] over the steps that are not padding, bool[B, m]; float32[B]."""
    taken = tf.cast(is_step, values.dtype)
    return tf.reduce_sum(tf.where(is_step, values, 0.0), axis=1) / tf.reduce_sum(taken, axis=1)


def sequence_error(td_error: tf.Tensor, is_step: tf.Tensor) -> tf.Tensor:
    """A sequence's priority η max |δ| + (1 − η) mean |δ| over its steps, float32[B] (Kapturowski et al. 2019)."""
    absolute = tf.where(is_step, tf.abs(td_error), 0.0)
    return _ETA * tf.reduce_max(absolute, axis=1) + (1 - _ETA) * mean_of_steps(absolute, is_step)


def _flat(array: Any) -> Any:
    """[B, m, …] → [B · m, …]; None → None."""
    return None if array is None else tf.reshape(array, [-1, *array.shape[2:]])


def _legal(legal: tf.Tensor | None, steps: tf.Tensor) -> tf.Tensor | None:
    """Flattens legal actions [B, m, A] to bool[B · m, A], and makes all actions legal in padding.

    A maximum over no action would be float32's lowest number, from which gradients become NaN, even if multiplied by 0.
    """
    if legal is None:
        return None
    return _flat(legal | tf.reshape(steps == 0, [-1, steps.shape[1], *[1] * (legal.shape.rank - 2)]))
