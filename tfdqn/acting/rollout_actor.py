"""`RolloutActor`: an actor whose Q-values, computed once to act by, are what its λ-returns are made of."""

import numpy as np

from tfdqn.acting.actor import Actor
from tfdqn.acting.policy import Policy, PolicyOutput
from tfdqn.coordination.weights import WeightsClient
from tfdqn.networks.legal_actions import only_legal_numpy
from tfdqn.replay.rollout import Rollout
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.types import Observation, PolicyState, Step


class RolloutActor(Actor):
    """Policy → task → rollout; the weights do not change in the midst of one. Arguments as of `Actor`."""

    def __init__(
        self, task: BatchedTask, policy: Policy, client: WeightsClient, rollout: Rollout, rng: np.random.Generator
    ):
        super().__init__(task, policy, client, rollout, rng)
        self._rollout = rollout

    def _write(
        self,
        observation: Observation,
        legal_actions: np.ndarray | None,
        output: PolicyOutput,
        step: Step,
        state: PolicyState,
        env_steps: int,
    ) -> int:
        self._rollout.add_values(_values(output.q_values, legal_actions))
        written = super()._write(observation, legal_actions, output, step, state, env_steps)
        if self._rollout.is_whole:
            q_values = self._policy.q_values(self._client.weights, step.observation, step.legal_actions)
            self._rollout.finish(_values(q_values, step.legal_actions), self._client.version)
        return written


def _values(q_values: np.ndarray, legal_actions: np.ndarray | None) -> np.ndarray:
    """max_a Q(s, a) float32[E] over the legal actions."""
    return only_legal_numpy(q_values, legal_actions).max(axis=1)
