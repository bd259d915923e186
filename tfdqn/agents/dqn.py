"""`DqnAgent`: TF-Agents' DQN agent with a loss on finished transitions, and its configuration.

The base class builds the target network, the specs and the policies; the loss is one of `losses/`. It takes
batches without a time axis, whose rewards and discounts are already n-step, leaves clipping and applying to
`learning/`, and returns what the curves need.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.agents.dqn import dqn_agent
from tf_agents.networks import network as networks
from tf_agents.policies import random_tf_policy, tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory

from tfdqn.agents.loss import Batch, GreedyValue, LossNetwork, LossOutput, Networks, check_output
from tfdqn.agents.losses import td
from tfdqn.agents.losses.branches import mean_value
from tfdqn.agents.losses.table import LOSSES
from tfdqn.config import Config
from tfdqn.networks import encoding
from tfdqn.networks.factory import q_network, split_network
from tfdqn.networks.layers.statistics import Moments, moments_of
from tfdqn.networks.noise import Noise
from tfdqn.networks.q_network import QNetwork, observation_spec
from tfdqn.randomness import derived_seed
from tfdqn.task_spec import TaskSpec


class LossExtra(NamedTuple):
    """What the loss knows of each example, float32[B] all."""

    td_error: tf.Tensor  # as `LossOutput` has it; the mean over an ensemble's members that learn from it
    q_value: tf.Tensor  # Q(s, a) of the action taken; the mean over an ensemble's members
    max_q_value: tf.Tensor  # max_a Q(s, a) over all actions, and all members
    priority: tf.Tensor  # |TD error|; the mean over an ensemble's members that learn from it
    disagreement: tf.Tensor | None = None  # standard deviation of Q(s, a) over an ensemble's members


class DqnAgent(dqn_agent.DqnAgent):
    """One Q-function and its target, and the loss that `[agent]` names.

    Args:
      config: `agent` gives the objective, `network` both networks.
      task_spec: the task's observations and actions.
      devices: over which both networks' layers are split; none: they are whole.
      member: of an ensemble; each starts from a seed of its own.
    """

    members = 1  # Q-functions: above 1, every weight leads with them
    _greedy_value: GreedyValue = staticmethod(td.greedy_value)

    def __init__(self, config: Config, task_spec: TaskSpec, devices: Sequence[str] = (), member: int = 0):
        self._devices, self._member = devices, member
        self._settings, self._observation = config.agent, task_spec.observation
        self._compute_loss = LOSSES.of(config.agent)
        observation: Any = observation_spec(task_spec)
        if task_spec.action_masks:
            mask = tensor_spec.BoundedTensorSpec(task_spec.mask_shape, tf.bool, False, True)
            observation = (observation, mask)
        self._has_masks, self._actions = task_spec.action_masks, task_spec.mask_shape
        self._has_branches = len(self._actions) > 1
        if self._has_branches:
            self._greedy_value = mean_value(self._greedy_value)
        network = self._make_network(config, task_spec)
        super().__init__(
            ts.time_step_spec(observation),
            tensor_spec.BoundedTensorSpec(task_spec.action_shape, tf.int32, 0, self._actions[-1] - 1),
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

    @property
    def target_weights(self) -> dict[str, tf.Variable]:
        """The target network's, by canonical name; none if the loss has no use for one."""
        return self.target_network.named_weights() if self._settings.has_target_network else {}

    def moments(
        self, experience: Any, weights: tf.Tensor | None = None, total: Callable[[tf.Tensor], tf.Tensor] = tf.identity
    ) -> dict[str, Moments]:
        """Of the observations acted in, those arrays that the network normalises.

        Args:
          experience: as of `_loss`.
          weights: as of `_loss`; an example of weight 0, which nothing is learned from, does not count.
          total: as `moments_of` has it.
        """
        if not self.network.statistics:
            return {}
        observation, counts = self._seen(experience, None if weights is None else tf.sign(weights))
        size = {key: encoding.size_of(self._observation[key]) for key in self.network.statistics}
        return {
            key: moments_of(tf.reshape(tf.cast(observation[key], tf.float32), [-1, size[key]]), counts, total)
            for key in self.network.statistics
        }

    def _seen(
        self, experience: trajectory.Transition, counts: tf.Tensor | None
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        """(observations [M, …] that were acted in; how often each counts, float32[M], or none: once).

        `counts` are the same of the examples, float32[B].
        """
        return self._split(experience.time_step.observation)[0], counts

    def _loss(
        self,
        experience: trajectory.Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
        noise: Noise | None = None,
    ) -> tf_agent.LossInfo:
        """The mean loss of a batch of finished transitions, and each example's part in it.

        Args:
          experience: a transition with leading axis B; `next_time_step.reward` and `.discount` float32[B] are
            n-step and finished, as `replay.writer` makes them.
          weights: importance weights float32[B], or none.
          training: TF-Agents passes it; it changes nothing.
          noise: what noisy networks and losses that sample draw from; None: no noise.

        Returns:
          `LossInfo` with the scalar loss, mean over B of weight × loss, and `LossExtra`.
        """
        output = self._output(self._batch(experience), noise)
        loss = output.loss if weights is None else output.loss * weights
        extra = LossExtra(output.td_error, output.q_value, self._best(output.q_tm1), tf.abs(output.td_error))
        return tf_agent.LossInfo(tf.reduce_mean(loss), extra)

    def _output(self, batch: Batch, noise: Noise | None) -> LossOutput:
        """What the loss gives of each example; an ensemble's leads with K. Raises OwnCodeError as `check_output`."""
        output = self._compute_loss(self._settings, self._networks(noise), batch)
        examples = [*([self.members] if self.members > 1 else []), *batch.action_tm1.shape[:1]]
        source = f'agent.kind = "{self._settings.kind}": {self._compute_loss.__qualname__}'
        check_output(output, examples, self._actions, source)
        return output

    def _best(self, q: tf.Tensor) -> tf.Tensor:
        """max_a Q(s, a) float32[…, B]; of branches the mean over them."""
        best = tf.reduce_max(q, axis=-1)
        return tf.reduce_mean(best, axis=-1) if self._has_branches else best

    def _networks(self, noise: Noise | None) -> Networks:
        return Networks(
            LossNetwork(self._q_network, None if noise is None else noise.split("online")),
            LossNetwork(self._target_q_network, None if noise is None else noise.split("target")),
            self._greedy_value,
        )

    def _batch(self, experience: trajectory.Transition) -> Batch:
        before, after = experience.time_step, experience.next_time_step
        return Batch(
            *self._split(before.observation),
            experience.action_step.action,
            self._settings.reward_scale * after.reward,
            after.discount,
            *self._split(after.observation),
        )

    def _make_network(self, config: Config, task_spec: TaskSpec) -> QNetwork:
        seed = derived_seed(config.seed, "initial weights", self._member)
        if self._devices:
            return split_network(config, task_spec, seed=seed, devices=self._devices)
        return q_network(config, task_spec, seed=seed, precision=config.learner.precision)

    def _check_action_spec(self, action_spec: tensor_spec.BoundedTensorSpec) -> None:
        if not self._has_branches:  # which the base class refuses
            super()._check_action_spec(action_spec)

    def _check_network_output(self, net: networks.Network, label: str) -> None:
        if not self._has_branches:
            super()._check_network_output(net, label)

    def _setup_policy(
        self, time_step_spec: ts.TimeStep, action_spec: tensor_spec.BoundedTensorSpec, *others: Any
    ) -> tuple[tf_policy.TFPolicy, tf_policy.TFPolicy]:
        """The base class's, or random ones where those know no such axes; `acting.policy` acts."""
        if not self._has_branches and self.members == 1:
            return super()._setup_policy(time_step_spec, action_spec, *others)
        policy = random_tf_policy.RandomTFPolicy(time_step_spec, action_spec)
        return policy, policy

    def _split(self, observation: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        return observation if self._has_masks else (observation, None)
