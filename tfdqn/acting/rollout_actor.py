"""`RolloutActor`: an actor that fills a rollout, and passes on its Q-values, from which λ-returns are computed."""

import numpy as np

from tfdqn.acting.actor import Actor
from tfdqn.acting.policy import Policy
from tfdqn.coordination.weights import WeightsClient
from tfdqn.networks.legal_actions import best_value_numpy
from tfdqn.replay.rollout import Rollout
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.types import Experience


class RolloutActor(Actor):
    """Steps environments and fills a rollout, during which the weights don't change. Arguments as of `Actor`."""

    def __init__(
        self, task: BatchedTask, policy: Policy, client: WeightsClient, rollout: Rollout, rng: np.random.Generator
    ):
        super().__init__(task, policy, client, rollout, rng)
        self._rollout = rollout

    def _write(self, experience: Experience) -> int:
        assert experience.q_values is not None
        self._rollout.add_values(best_value_numpy(experience.q_values, experience.legal_actions))
        written = super()._write(experience)
        if self._rollout.is_whole:
            step = experience.step
            q_values = self._policy.q_values(self._client.weights, step.observation, step.legal_actions, self._rng)
            self._rollout.finish(best_value_numpy(q_values, step.legal_actions), self._client.version)
        return written
