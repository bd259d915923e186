"""`DqnAgent`: TF-Agents' DQN agent with a loss on finished n-step transitions.

Of TF-Agents' agent this uses `__init__`, which makes the networks' variables by a trial call, copies the online network
to the target network and checks their outputs; and `loss`, which calls `_loss`. Everything else is the package's own:

| of TF-Agents' agent                      | is here                                                              |
| ---------------------------------------- | -------------------------------------------------------------------- |
| its loss, n-step returns, `gamma`        | one of `losses/`, on returns and discounts that are n-step already   |
| `train`, optimizer, clipping, target tau | `learning.train_step`, the same for any number of replicas           |
| `policy`, `collect_policy`               | `acting`, which also knows branches and ensembles                    |
| batches with a time axis                 | batches of transitions; sequences are `RecurrentAgent`'s             |
"""

from collections.abc import Callable, Mapping, Sequence
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
    """Figures of each example, all float32[B]."""

    td_error: tf.Tensor  # as of `LossOutput`; the mean of |TD error| over an ensemble's members that learn from it
    q_value: tf.Tensor  # Q(s, a) of the action taken; the mean over an ensemble's members
    max_q_value: tf.Tensor  # max_a Q(s, a) over all actions, and all members
    priority: tf.Tensor  # |TD error|; the mean over an ensemble's members that learn from it
    metrics: Mapping[str, tf.Tensor]  # the loss's own, by name; the mean over an ensemble's members
    disagreement: tf.Tensor | None = None  # standard deviation of Q(s, a) over an ensemble's members


class DqnAgent(dqn_agent.DqnAgent):
    """An online and a target network, and the loss that `[agent]` names.

    `devices` are those over which both networks' layers are split; empty: they are not split. `member` is the index of
    this agent in an ensemble, which determines its initial weights. Raises ConfigError if the network or the loss
    doesn't fit the task.
    """

    members = 1  # the number of Q-functions; above 1, it is the leading axis of every weight
    _greedy_value: GreedyValue = staticmethod(td.greedy_value)

    def __init__(self, config: Config, task_spec: TaskSpec, devices: Sequence[str] = (), member: int = 0):
        self._devices, self._member = devices, member
        self._settings, self._observation = config.agent, task_spec.observation
        self._compute_loss = LOSSES.of(config.agent)
        self._has_masks = task_spec.action_masks
        self._actions = task_spec.mask_shape  # [A], with branches [D, A]
        self._has_branches = len(self._actions) > 1
        if self._has_branches:
            self._greedy_value = td.mean_value(self._greedy_value)
        super().__init__(
            _time_step_spec(task_spec),
            tensor_spec.BoundedTensorSpec(task_spec.action_shape, tf.int32, 0, self._actions[-1] - 1),
            q_network=self._make_network(config, task_spec),
            optimizer=None,
            observation_and_action_constraint_splitter=_observation_and_mask if self._has_masks else None,
        )
        # The base class has copied the network, but not its weights.
        online = self.network.named_weights()
        for name, weight in self.target_network.named_weights().items():
            weight.assign(online[name])

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
        """The target network's weights, by canonical name; empty if the loss uses no target network."""
        return self.target_network.named_weights() if self._settings.has_target_network else {}

    def moments(
        self, experience: Any, weights: tf.Tensor | None = None, total: Callable[[tf.Tensor], tf.Tensor] = tf.identity
    ) -> dict[str, Moments]:
        """The moments of the arrays of the observations acted in that the network normalises, by their keys.

        Examples of weight 0, from which nothing is learned, don't count. `total` is as of `moments_of`.
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
        """The M observations in which a batch acted, and how often each counts: ([M, …], float32[M] or None: once).

        `counts`, float32[B], says how often each example counts; None: once.
        """
        return self._split(experience.time_step.observation)[0], counts

    def _loss(
        self,
        experience: trajectory.Transition,
        weights: tf.Tensor | None = None,
        training: bool = False,
        noise: Noise | None = None,
    ) -> tf_agent.LossInfo:
        """Computes the mean loss of a batch of finished transitions, and figures of each example.

        Args:
          experience: a transition with leading axis B; `next_time_step.reward` and `.discount` float32[B] are the
            n-step ones that `replay.n_step_writer` makes.
          weights: importance weights float32[B]; None: all are 1.
          training: passed by TF-Agents, and ignored.
          noise: the noise of noisy networks and of losses that sample; None: there is none.

        Returns:
          `LossInfo` with the scalar loss, mean over B of weight × loss, and `LossExtra`.
        """
        output = self._output(self._batch(experience), noise)
        loss = output.loss if weights is None else output.loss * weights
        best, priority = self._best(output.q_tm1), tf.abs(output.td_error)
        extra = LossExtra(output.td_error, output.q_value, best, priority, dict(output.metrics))
        return tf_agent.LossInfo(tf.reduce_mean(loss), extra)

    def _output(self, batch: Batch, noise: Noise | None) -> LossOutput:
        """Computes the loss of each example, with leading axis K for an ensemble. Raises as `check_output` does."""
        output = self._compute_loss(self._settings, self._networks(noise), batch)
        examples = [*([self.members] if self.members > 1 else []), *batch.action_tm1.shape[:1]]
        source = f'agent.kind = "{self._settings.kind}": {self._compute_loss.__qualname__}'
        check_output(output, examples, self._actions, self._settings.metrics, source)
        return output

    def _best(self, q: tf.Tensor) -> tf.Tensor:
        """max_a Q(s, a) float32[…, B]; with branches the mean over them."""
        best = tf.reduce_max(q, axis=-1)
        return tf.reduce_mean(best, axis=-1) if self._has_branches else best

    @property
    def _both_networks(self) -> dict[str, QNetwork]:
        return {"online": self.network, "target": self.target_network}

    def _networks(self, noise: Noise | None) -> Networks:
        online, target = (
            self._loss_network(network, name, None if noise is None else noise.split(name))
            for name, network in self._both_networks.items()
        )
        return Networks(online, target, self._greedy_value)

    def _loss_network(self, network: QNetwork, name: str, noise: Noise | None) -> LossNetwork:
        """One of `_both_networks`, by its name, as losses call it."""
        return LossNetwork(network, noise)

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
        on_cpu = not tf.config.list_logical_devices("GPU")  # those of the job's other processes are listed, too
        in_xla = on_cpu and config.learner.xla != "off" and not config.is_slow_in_xla
        return q_network(
            config,
            task_spec,
            seed=seed,
            precision=config.learner.precision,
            in_xla=in_xla,
            # Rounding a dense layer's weights in every update takes a CPU longer than its products then save.
            dense_precision="float32" if on_cpu else None,
        )

    def _check_action_spec(self, action_spec: tensor_spec.BoundedTensorSpec) -> None:
        if not self._has_branches:  # the base class would refuse them
            super()._check_action_spec(action_spec)

    def _check_network_output(self, net: networks.Network, label: str) -> None:
        if not self._has_branches and self.members == 1:  # the base class knows no other axes than [B, A]
            super()._check_network_output(net, label)

    def _setup_policy(
        self, time_step_spec: ts.TimeStep, action_spec: tensor_spec.BoundedTensorSpec, *others: Any
    ) -> tuple[tf_policy.TFPolicy, tf_policy.TFPolicy]:
        """Makes random policies, which nothing uses: TF-Agents' own know neither branches nor members."""
        policy = random_tf_policy.RandomTFPolicy(time_step_spec, action_spec)
        return policy, policy

    def _split(self, observation: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        """Splits a time step's observation into (the arrays, the mask of legal actions or None)."""
        return observation if self._has_masks else (observation, None)


def _time_step_spec(task_spec: TaskSpec) -> ts.TimeStep:
    """The time step as TF-Agents specs it; a task with masks observes (the arrays, the mask)."""
    arrays = observation_spec(task_spec)
    if not task_spec.action_masks:
        return ts.time_step_spec(arrays)
    return ts.time_step_spec((arrays, tensor_spec.BoundedTensorSpec(task_spec.mask_shape, tf.bool, False, True)))


def _observation_and_mask(both: Any) -> Any:
    """Splits what a task with masks observes, as TF-Agents asks for it: it is a pair already."""
    return both
