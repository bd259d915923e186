"""`EnsembleAgent`: K DQN agents as one, each with its own weights and its own part of the data."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.agents import tf_agent
from tf_agents.networks import network as networks
from tf_agents.policies import epsilon_greedy_policy, greedy_policy, q_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import policy_step, trajectory
from tf_agents.trajectories import time_step as ts

from tfdqn.agents.dqn import DqnAgent, LossExtra
from tfdqn.agents.ensemble_masks import member_weights
from tfdqn.agents.losses import td
from tfdqn.config import Config
from tfdqn.networks.aggregation import Aggregation, aggregate
from tfdqn.networks.factory import ensemble_network
from tfdqn.networks.legal_actions import only_legal
from tfdqn.networks.q_network import QNetwork
from tfdqn.randomness import derived_seed
from tfdqn.task_spec import TaskSpec


class EnsembleAgent(DqnAgent):
    """K members that learn independently, but for what `ensemble.target` may share; they act as one.

    Member k starts from a seed of its own; member 0 starts as the plain agent of the same configuration does.

    Args:
      config: `ensemble`, and what `DqnAgent` takes.
      task_spec: the task's observations and actions.

    Raises ConfigError where the task has not what partitions the data.
    """

    def __init__(self, config: Config, task_spec: TaskSpec, devices: Sequence[str] = ()):
        self.members = config.ensemble.size
        self._aggregation: Aggregation = config.ensemble.aggregation
        self._shares_target = config.ensemble.target == "aggregate"
        self._member_weights = member_weights(config, task_spec)
        super().__init__(config, task_spec, devices)

    def _loss(
        self,
        experience: trajectory.Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """The sum over members of each one's mean loss: so each member's gradient is what it would be alone.

        Args:
          experience: as `DqnAgent`'s.
          weights: importance weights float32[B], or none.
          training: passed on to the network.

        Returns:
          `LossInfo` with the scalar Σ_k mean over B of weight × member weight × loss, and `LossExtra`.
        """
        td_error, q_tm1, q_value = self._td_error(experience, training)
        state_tm1, _ = self._split(experience.time_step.observation)
        state_t, _ = self._split(experience.next_time_step.observation)
        member_weights = self._member_weights(experience, state_tm1, state_t)
        loss = member_weights * self._loss_of(td_error)
        if weights is not None:
            loss *= weights
        learners = tf.reduce_sum(member_weights, axis=0)
        extra = LossExtra(
            td_error=tf.math.divide_no_nan(tf.reduce_sum(member_weights * td_error, axis=0), learners),
            q_value=tf.reduce_mean(q_value, axis=0),
            max_q_value=tf.reduce_max(q_tm1, axis=(0, 2)),
            disagreement=tf.math.reduce_std(q_value, axis=0),
        )
        return tf_agent.LossInfo(tf.reduce_sum(tf.reduce_mean(loss, axis=1)), extra)

    def _target(
        self,
        r_t: tf.Tensor,
        discount_t: tf.Tensor,
        q_target_t: tf.Tensor,
        q_online_t: tf.Tensor | None,
        legal_t: tf.Tensor | None,
    ) -> tf.Tensor:
        if not self._shares_target:
            return super()._target(r_t, discount_t, q_target_t, q_online_t, legal_t)
        q_select_t = q_target_t if q_online_t is None else q_online_t
        return td.aggregate_target(r_t, discount_t, q_target_t, q_select_t, legal_t, self._aggregation)

    def _make_network(self, config: Config, task_spec: TaskSpec) -> QNetwork:
        seeds = [derived_seed(config.seed, "initial weights", k) for k in range(self.members)]
        return ensemble_network(config, task_spec, seeds=seeds)

    def _check_network_output(self, net: networks.Network, label: str) -> None:
        """Nothing: the base class would take the members' axis for the batch's."""

    def _setup_policy(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: tensor_spec.BoundedTensorSpec,
        boltzmann_temperature: float | None,
        emit_log_probability: bool,
    ) -> tuple[Any, Any]:
        policy = _AggregatePolicy(
            self._aggregation,
            time_step_spec,
            action_spec,
            q_network=self._q_network,
            emit_log_probability=emit_log_probability,
            observation_and_action_constraint_splitter=self._observation_and_action_constraint_splitter,
            validate_action_spec_and_network=False,
        )
        explorer = epsilon_greedy_policy.EpsilonGreedyPolicy(policy, epsilon=self._epsilon_greedy)
        return greedy_policy.GreedyPolicy(policy), explorer


class _AggregatePolicy(q_policy.QPolicy):
    """TF-Agents' policy of an ensemble: the logits of an action are its aggregated value."""

    def __init__(self, aggregation: Aggregation, *args: Any, **kwargs: Any):
        self._aggregation = aggregation
        super().__init__(*args, **kwargs)

    def _distribution(self, time_step: ts.TimeStep, policy_state: Any) -> policy_step.PolicyStep:
        observation, legal_actions = time_step.observation, None
        if self.observation_and_action_constraint_splitter is not None:
            observation, legal_actions = self.observation_and_action_constraint_splitter(observation)
        q_values, _ = self._q_network(observation)
        values = only_legal(aggregate(q_values, legal_actions, self._aggregation), legal_actions)
        actions = tfp.distributions.Categorical(logits=values, dtype=self._flat_action_spec.dtype)
        return policy_step.PolicyStep(actions, policy_state)
