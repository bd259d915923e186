"""`EnsembleAgent`: K DQN agents in one, each with its own weights and its own part of the data."""

from functools import partial

import tensorflow as tf
from tf_agents.agents import tf_agent
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
    """K members that learn independently, unless `ensemble.target` makes them share targets.

    Each member's initial weights have their own seed; member 0 starts like a `DqnAgent` of the same configuration.

    Raises ConfigError as `DqnAgent`, and if the task doesn't observe what `ensemble` partitions the data by.
    """

    def __init__(self, config: Config, task_spec: TaskSpec):
        self.members = config.ensemble.size
        if config.ensemble.target == "aggregate":
            self._greedy_value = partial(td.aggregate_value, aggregation=config.ensemble.aggregation)
        self._member_weights = member_weights(config, task_spec)
        super().__init__(config, task_spec)

    def _loss(
        self,
        experience: trajectory.Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
        noise: Noise | None = None,
    ) -> tf_agent.LossInfo:
        """Computes the sum of the members' mean losses, so that each member's gradient is as if it were alone.

        Arguments as of `DqnAgent`. The loss is Σ_k mean over B of weight × member weight × loss.
        """
        batch = self._batch(experience)
        output = self._output(batch, noise)
        member_weights = self._member_weights(experience, batch.observation_tm1, batch.observation_t)
        loss = member_weights * output.loss
        if weights is not None:
            loss *= weights
        learners = tf.reduce_sum(member_weights, axis=0)

        def mean(values: tf.Tensor) -> tf.Tensor:
            """The mean over the members that learn from each example; 0 if none does."""
            return tf.math.divide_no_nan(tf.reduce_sum(member_weights * values, axis=0), learners)

        td_error = mean(tf.abs(output.td_error))
        extra = LossExtra(
            td_error=td_error,
            q_value=tf.reduce_mean(output.q_value, axis=0),
            max_q_value=tf.reduce_max(self._best(output.q_tm1), axis=0),
            priority=td_error,
            metrics={name: tf.reduce_mean(values, axis=0) for name, values in output.metrics.items()},
            disagreement=tf.math.reduce_std(output.q_value, axis=0),
        )
        return tf_agent.LossInfo(tf.reduce_sum(tf.reduce_mean(loss, axis=1)), extra)

    def _make_network(self, config: Config, task_spec: TaskSpec) -> QNetwork:
        seeds = [derived_seed(config.seed, "initial weights", k) for k in range(self.members)]
        return ensemble_network(config, task_spec, seeds=seeds)
