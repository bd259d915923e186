"""Random rollouts, whose episodes end in every way, and a configuration of PQN that learns from them."""

from typing import Any

import numpy as np

from tests.support.batches import vector_spec
from tfdqn.config import PQN, Config, Learner, Task
from tfdqn.replay.rollout import Rollout
from tfdqn.types import Experience, Step

STEPS, ENVS, EPOCHS, BATCH = 12, 10, 3, 24


def config(**agent: Any) -> Config:
    return Config(
        seed=3,
        task=Task(num_envs=ENVS),
        agent=PQN(rollout_steps=STEPS, epochs=EPOCHS, **agent),
        learner=Learner(batch_size=BATCH, schedule="alternate"),
    )


SPEC = vector_spec(num_actions=4, action_masks=True)


class Acted:
    """What happened in a rollout at random, most ends followed by a row that carries a reset."""

    def __init__(self, seed: int):
        rng, shape = np.random.default_rng(seed), (STEPS, ENVS)
        self.observation = rng.normal(size=(STEPS + 1, ENVS, *SPEC.observation["observation"].shape)).astype(np.float32)
        self.legal = rng.random((STEPS + 1, ENVS, 4)) < 0.5
        self.action = rng.integers(4, size=shape).astype(np.int32)
        self.reward = rng.normal(size=shape).astype(np.float32)
        self.values = rng.normal(size=(STEPS + 1, ENVS)).astype(np.float32) * 10
        self.is_reset = np.zeros(shape, bool)
        self.terminated, self.truncated = np.zeros((2, *shape), bool)
        done = rng.random(ENVS) < 0.2  # the step before the rollout's first
        for t in range(STEPS):
            self.is_reset[t] = done | (rng.random(ENVS) < 0.05)  # an environment that broke is reset at any time
            ends, how = ~self.is_reset[t] & (rng.random(ENVS) < 0.2), rng.random(ENVS) < 0.5
            self.terminated[t], self.truncated[t] = ends & how, ends & ~how
            done = ends & (rng.random(ENVS) < 0.8)  # the others have but lost a life

    def write(self, rollout: Rollout, steps: range = range(STEPS)) -> int:
        """How many transitions it was told of."""
        written = 0
        for t in steps:
            rollout.add_values(self.values[t])
            after = {"observation": self.observation[t + 1]}
            step = Step(
                after, self.reward[t], self.terminated[t], self.truncated[t], self.is_reset[t], self.legal[t + 1]
            )
            seen = {"observation": self.observation[t]}
            written += rollout.write(Experience(seen, self.legal[t], self.action[t], step))
        return written
