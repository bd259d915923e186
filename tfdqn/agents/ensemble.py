"""`EnsembleAgent`: K DQN agents as one, each with its own weights and its own part of the data."""

from collections.abc import Sequence
from functools import partial

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.networks import network as networks
from tf_agents.trajectories import trajectory

from tfdqn.agents.dqn import DqnAgent, LossExtra
from tfdqn.agents.ensemble_masks import member_weights
from tfdqn.agents.losses import td
from tfdqn.config import Config
from tfdqn.networks.factory import ensemble_network
from tfdqn.networks.noise import Noise
from tfdqn.networks.q_network import QNetwork
from tfdqn.randomness import derived_seed
from tfdqn.task_spec import TaskSpec


class EnsembleAgent(DqnAgent):
    """K members that learn independently, but for what `ensemble.target` may share; they act as one.

    Member k starts from a seed of its own; member 0 starts as the plain agent of the same configuration does.

    Args:
      config: `ensemble`, and what `DqnAgent` takes.
      task_spec: the task's observations and actions.

    Raises ConfigError if the task has not what partitions the data.
    """

    def __init__(self, config: Config, task_spec: TaskSpec, devices: Sequence[str] = ()):
        self.members = config.ensemble.size
        if config.ensemble.target == "aggregate":
            self._greedy_value = partial(td.aggregate_value, aggregation=config.ensemble.aggregation)
        self._member_weights = member_weights(config, task_spec)
        super().__init__(config, task_spec, devices)

    def _loss(
        self,
        experience: trajectory.Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
        noise: Noise | None = None,
    ) -> tf_agent.LossInfo:
        """The sum over members of each one's mean loss: so each member's gradient is what it would be alone.

        Args:
          experience: as `DqnAgent`'s.
          weights: importance weights float32[B], or none.
          training: as `DqnAgent`'s.
          noise: as `DqnAgent`'s.

        Returns:
          `LossInfo` with the scalar Σ_k mean over B of weight × member weight × loss, and `LossExtra`.
        """
        batch = self._batch(experience)
        output = self._output(batch, noise)
        member_weights = self._member_weights(experience, batch.observation_tm1, batch.observation_t)
        loss = member_weights * output.loss
        if weights is not None:
            loss *= weights
        learners = tf.reduce_sum(member_weights, axis=0)

        def mean(values: tf.Tensor) -> tf.Tensor:
            """Over the members that learn from each example; 0 where none does."""
            return tf.math.divide_no_nan(tf.reduce_sum(member_weights * values, axis=0), learners)

        extra = LossExtra(
            td_error=mean(output.td_error),
            q_value=tf.reduce_mean(output.q_value, axis=0),
            max_q_value=tf.reduce_max(self._best(output.q_tm1), axis=0),
            priority=mean(tf.abs(output.td_error)),
            disagreement=tf.math.reduce_std(output.q_value, axis=0),
        )
        return tf_agent.LossInfo(tf.reduce_sum(tf.reduce_mean(loss, axis=1)), extra)

    def _make_network(self, config: Config, task_spec: TaskSpec) -> QNetwork:
        seeds = [derived_seed(config.seed, "initial weights", k) for k in range(self.members)]
        return ensemble_network(config, task_spec, seeds=seeds)

    def _check_network_output(self, net: networks.Network, label: str) -> None:
        """Nothing: the base class would take the members' axis for the batch's."""
