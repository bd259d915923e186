"""`Actor`: steps a batch of environments by one policy call, and writes their transitions to replay.

`RolloutActor` fills a rollout instead, and passes on its Q-values, from which λ-returns are computed.
"""

from collections.abc import Mapping

import numpy as np

from tfdqn.acting.policy import Policy, forget
from tfdqn.coordination.weights import VersionedWeights, WeightsSource
from tfdqn.errors import NotFiniteError
from tfdqn.networks.best_actions import best_value_numpy
from tfdqn.randomness import generator_state, load_generator_state
from tfdqn.replay.interfaces import Writer
from tfdqn.replay.rollout import Rollout
from tfdqn.storage.arrays import add_prefix, with_prefix
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.episode_statistics import EpisodeStatistics
from tfdqn.types import Experience, PolicyState, Rng


class Actor:
    """Steps a batch of E environments by a policy with the newest weights, and writes each step to replay."""

    def __init__(self, task: BatchedTask, policy: Policy, weights: WeightsSource, writer: Writer, rng: Rng):
        self._task = task
        self._policy = policy
        self._source, self._held = weights, VersionedWeights(-1, {})
        self.writer = writer
        self._rng = rng
        self._policy_state: PolicyState = ()
        self.statistics = EpisodeStatistics(task.num_envs)
        self.env_steps = 0

    def reset(self, seed: int) -> None:
        """Starts new episodes in all environments. Raises as `BatchedTask.reset` does."""
        self._task.reset(seed)
        self._policy_state = ()
        self.statistics.drop_unfinished()

    def step(self, env_steps: int | None = None) -> int:
        """Steps every environment once; returns how many finished transitions were added to replay.

        `env_steps` is the number taken by all actors together, on which schedules depend; None: this actor's own.
        Raises NotFiniteError if a Q-value or a sum of rewards is not finite, and as `BatchedTask.step` does, before
        anything of an invalid step reaches replay.
        """
        self.refresh_weights()
        observation, legal_actions = self._task.observation, self._task.legal_actions
        taken = self.env_steps if env_steps is None else env_steps
        weights, state = self._held.weights, self._policy_state
        try:
            output = self._policy(weights, observation, legal_actions, state, self._rng, taken)
        except NotFiniteError as error:
            raise self._located(error) from None
        step = self._task.step(output.action)
        experience = Experience(observation, legal_actions, output.action, step, taken, state, output.q_values)
        try:
            written = self._write(experience)
        except NotFiniteError as error:
            raise self._located(error) from None
        self.statistics.add(step)
        self.env_steps += len(step.is_reset) - int(np.count_nonzero(step.is_reset))
        self._policy_state = forget(output.policy_state, step.is_reset)
        return written

    def _write(self, experience: Experience) -> int:
        """Writes one step; returns as `Writer.write` does. Subclasses may extend it."""
        return self.writer.write(experience)

    def _located(self, error: NotFiniteError) -> NotFiniteError:
        return NotFiniteError(f"{self._task.spec.id}, environment step {self.env_steps}: {error}")

    def refresh_weights(self) -> None:
        """Fetches the newest weights, as every step does, so that they can be read before the first step."""
        self._held = self._source.get()

    @property
    def weights_version(self) -> int:
        """The number of train steps after which the current weights were published."""
        return self._held.version

    def state(self) -> dict[str, np.ndarray]:
        """The counters, statistics and generator; and the running episodes, if the task's state can be saved."""
        state = {"rng": generator_state(self._rng), "env_steps": np.array(self.env_steps)}
        state |= add_prefix("statistics", self.statistics.state())
        state |= add_prefix("signal", self._task.lasting_state())
        task_state = self._task.state()
        if task_state is not None:
            state |= add_prefix("task", task_state)
            state |= {f"policy_state/{i}": array for i, array in enumerate(self._policy_state)}
        return state

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Restores what `state` returned. Returns False if it has no running episodes; those of `reset` go on."""
        load_generator_state(self._rng, arrays["rng"])
        self.env_steps = int(arrays["env_steps"])
        self.statistics.load_state(with_prefix("statistics", arrays))
        self._task.load_lasting_state(with_prefix("signal", arrays))
        task_state = with_prefix("task", arrays)
        if not task_state:
            self.statistics.drop_unfinished()
            return False
        self._task.load_state(task_state)
        policy_state = with_prefix("policy_state", arrays)
        self._policy_state = tuple(policy_state[str(i)] for i in range(len(policy_state)))
        return True


class RolloutActor(Actor):
    """Steps environments and fills a rollout, during which the weights don't change. Arguments as of `Actor`."""

    def __init__(self, task: BatchedTask, policy: Policy, weights: WeightsSource, rollout: Rollout, rng: Rng):
        super().__init__(task, policy, weights, rollout, rng)
        self._rollout = rollout

    def _write(self, experience: Experience) -> int:
        assert experience.q_values is not None
        self._rollout.add_values(best_value_numpy(experience.q_values, experience.legal_actions))
        written = super()._write(experience)
        if self._rollout.is_whole:
            step = experience.step
            q_values = self._policy.q_values(self._held.weights, step.observation, step.legal_actions, self._rng)
            self._rollout.finish(best_value_numpy(q_values, step.legal_actions), self._held.version)
        return written
