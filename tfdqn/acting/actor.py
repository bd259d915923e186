"""`Actor`: a batch of environments stepped by one policy call at a time, its transitions written to replay."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from tfdqn.acting.policy import Policy
from tfdqn.errors import NotFiniteError
from tfdqn.metrics import EpisodeStatistics
from tfdqn.randomness import generator_state, load_generator_state
from tfdqn.tasks.batched import BatchedTask, Observation, Step
from tfdqn.variables import VariableClient


class Writer(Protocol):
    """Turns steps into finished transitions of replay (`replay.writer`)."""

    def write(
        self, observation: Observation, legal_actions: np.ndarray | None, actions: np.ndarray, step: Step
    ) -> int:
        """Takes one step of all environments; returns how many finished transitions it wrote."""


class Actor:
    """Policy → task → writer.

    Args:
      task: the environments.
      policy: chooses all their actions in one call.
      client: fetches the newest weights.
      writer: where transitions go.
      rng: every random draw of exploration.
    """

    def __init__(
        self,
        task: BatchedTask,
        policy: Policy,
        client: VariableClient,
        writer: Writer,
        rng: np.random.Generator,
    ):
        self._task = task
        self._policy = policy
        self._client = client
        self._writer = writer
        self._rng = rng
        self._observation: Observation = {}
        self._legal_actions: np.ndarray | None = None
        self._policy_state: tuple = ()
        self.statistics = EpisodeStatistics(task.num_envs)
        self.env_steps = 0

    def reset(self, seed: int) -> None:
        """Starts fresh episodes in every environment. Raises NotFiniteError for what they begin with."""
        self._observation, self._legal_actions = self._task.reset(seed)
        self._check_observation(self._observation)
        self.statistics.drop_unfinished()

    def step(self) -> int:
        """One step of every environment; returns how many finished transitions went to replay.

        Raises NotFiniteError before anything that is not finite reaches replay.
        """
        self._client.refresh()
        output = self._policy(
            self._client.weights,
            self._observation,
            self._legal_actions,
            self._policy_state,
            self._rng,
            self.env_steps,
        )
        step = self._task.step(output.action)
        self._check_finite("reward", step.reward)
        self._check_observation(step.observation)
        written = self._writer.write(self._observation, self._legal_actions, output.action, step)
        self.statistics.add(step)
        self.env_steps += len(step.is_reset) - int(np.count_nonzero(step.is_reset))
        self._observation, self._legal_actions = step.observation, step.legal_actions
        self._policy_state = output.policy_state
        return written

    def refresh_weights(self) -> None:
        """Takes the newest weights, as every step does; curves may be drawn before the first."""
        self._client.refresh()

    @property
    def weights_version(self) -> int:
        """The train step that made the weights now acted with."""
        return self._client.version

    def state(self) -> dict[str, np.ndarray]:
        """Counters, statistics, generator; and, where the task gives its state, the episodes under way."""
        state = {"rng": generator_state(self._rng), "env_steps": np.array(self.env_steps)}
        state |= {f"statistics/{name}": array for name, array in self.statistics.state().items()}
        task_state = self._task.state()
        if task_state is not None:
            state |= {f"task/{name}": array for name, array in task_state.items()}
            state |= {f"observation/{name}": array for name, array in self._observation.items()}
            if self._legal_actions is not None:
                state["legal_actions"] = self._legal_actions
        return state

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Puts `state()` back; False if the task did not give its state, and fresh episodes were kept."""
        load_generator_state(self._rng, arrays["rng"])
        self.env_steps = int(arrays["env_steps"])
        self.statistics.load_state(_below("statistics", arrays))
        task_state = _below("task", arrays)
        if not task_state:
            self.statistics.drop_unfinished()
            return False
        self._task.load_state(task_state)
        self._observation = _below("observation", arrays)
        self._legal_actions = arrays.get("legal_actions")
        return True

    def _check_observation(self, observation: Observation) -> None:
        for name, array in observation.items():
            self._check_finite(f"observation '{name}'", array)

    def _check_finite(self, what: str, array: np.ndarray) -> None:
        # A finite sum proves every element finite; only the rare overflow needs the exact test.
        if array.dtype.kind == "f" and not np.isfinite(array.sum()) and not np.isfinite(array).all():
            environment = int(np.argwhere(~np.isfinite(array))[0][0])
            raise NotFiniteError(
                f"the {what} of environment {environment} is not finite at environment step "
                f"{self.env_steps}; it was kept out of replay and the last checkpoint is intact"
            )


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    start = prefix + "/"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
