"""`DqnAgent`: TF-Agents' DQN agent with a loss on finished transitions, and its configuration.

The base class builds the target network, the specs and the policies; only the loss is our own. It takes
batches without a time axis, whose rewards and discounts are already n-step, leaves clipping and applying to
`learning/`, and returns what prioritised replay and the curves need.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.agents.dqn import dqn_agent
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from tfdqn.agents.losses import td
from tfdqn.config import Config
from tfdqn.networks.factory import q_network, split_network
from tfdqn.networks.q_network import QNetwork, observation_spec
from tfdqn.randomness import derived_seed
from tfdqn.task_spec import TaskSpec


class LossExtra(NamedTuple):
    """What the loss knows of each example, float32[B] all."""

    td_error: (
        tf.Tensor
    )  # target minus prediction; the mean over those members of an ensemble that learn from it
    q_value: tf.Tensor  # Q(s, a) of the action taken; the mean over an ensemble's members
    max_q_value: tf.Tensor  # max_a Q(s, a) over all actions, and all members
    disagreement: tf.Tensor | None = None  # standard deviation of Q(s, a) over an ensemble's members


class DqnAgent(dqn_agent.DqnAgent):
    """DQN (Mnih et al. 2015) or Double DQN (van Hasselt et al. 2016).

    Args:
      config: `agent` gives the objective, `network` both networks.
      task_spec: the task's observations and actions.
      devices: over which both networks' layers are split; none: they are whole.
    """

    members = 1  # Q-functions: above 1, every weight leads with them

    def __init__(self, config: Config, task_spec: TaskSpec, devices: Sequence[str] = ()):
        self._devices = devices
        self._objective = config.agent
        observation: Any = observation_spec(task_spec)
        if task_spec.action_masks:
            mask = tensor_spec.BoundedTensorSpec(task_spec.num_actions, tf.bool, False, True)
            observation = (observation, mask)
        self._has_masks = task_spec.action_masks
        network = self._make_network(config, task_spec)
        super().__init__(
            ts.time_step_spec(observation),
            tensor_spec.BoundedTensorSpec((), tf.int32, 0, task_spec.num_actions[0] - 1),
            q_network=network,
            optimizer=None,
            observation_and_action_constraint_splitter=(lambda both: both) if self._has_masks else None,
        )
        for name, weight in self._target_q_network.named_weights().items():
            weight.assign(network.named_weights()[name])

    @property
    def network(self) -> QNetwork:
        """The online network."""
        return self._q_network

    @property
    def target_network(self) -> QNetwork:
        """The target network."""
        return self._target_q_network

    def _loss(
        self,
        experience: trajectory.Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf_agent.LossInfo:
        """The mean loss of a batch of finished transitions, and each example's part in it.

        Args:
          experience: a transition with leading axis B; `next_time_step.reward` and `.discount` float32[B] are
            n-step and finished, as `replay.writer` makes them.
          weights: importance weights float32[B], or none.
          training: passed on to the network.

        Returns:
          `LossInfo` with the scalar loss, mean over B of weight × loss of the TD error, and `LossExtra`.
        """
        td_error, q_tm1, q_value = self._td_error(experience, training)
        loss = self._loss_of(td_error)
        if weights is not None:
            loss *= weights
        extra = LossExtra(td_error, q_value, tf.reduce_max(q_tm1, axis=1))
        return tf_agent.LossInfo(tf.reduce_mean(loss), extra)

    def _td_error(
        self, experience: trajectory.Transition, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(target minus prediction [B], Q(s, ·) [B, A], Q(s, a) [B]); of an ensemble, all lead with K."""
        observation_tm1, _ = self._split(experience.time_step.observation)
        observation_t, legal_t = self._split(experience.next_time_step.observation)
        r_t = self._objective.reward_scale * experience.next_time_step.reward
        discount_t = experience.next_time_step.discount

        q_tm1, _ = self._q_network(observation_tm1, training=training)
        q_target_t, _ = self._target_q_network(observation_t)
        q_online_t = self._q_network(observation_t)[0] if self._objective.kind == "double_dqn" else None
        target = self._target(r_t, discount_t, q_target_t, q_online_t, legal_t)

        q_value = td.value_of_action(q_tm1, experience.action_step.action)
        return tf.stop_gradient(target) - q_value, q_tm1, q_value

    def _target(
        self,
        r_t: tf.Tensor,
        discount_t: tf.Tensor,
        q_target_t: tf.Tensor,
        q_online_t: tf.Tensor | None,
        legal_t: tf.Tensor | None,
    ) -> tf.Tensor:
        """What Q(s, a) is moved towards; `q_online_t` is there for double DQN alone."""
        if q_online_t is None:
            return td.q_learning_target(r_t, discount_t, q_target_t, legal_t)
        return td.double_q_target(r_t, discount_t, q_target_t, q_online_t, legal_t)

    def _loss_of(self, td_error: tf.Tensor) -> tf.Tensor:
        if self._objective.loss == "huber":
            return td.huber_loss(td_error, self._objective.huber_delta)
        return td.squared_loss(td_error)

    def _make_network(self, config: Config, task_spec: TaskSpec) -> QNetwork:
        seed = derived_seed(config.seed, "initial weights")
        if self._devices:
            return split_network(config, task_spec, seed=seed, devices=self._devices)
        return q_network(config, task_spec, seed=seed, precision=config.learner.precision)

    def _split(self, observation: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        return observation if self._has_masks else (observation, None)
