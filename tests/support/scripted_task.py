"""A batch of environments that play what a script says: environment i's episodes have lengths of its own."""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from tests.support.batches import vector_spec
from tfdqn.types import Observation, Step


class FakeTask:
    """Reward 1 a step (so that a return is a length); an episode of environment i ends after the next of
    `lengths[i]`, over and over; it is truncated where `truncates[i]`, else it terminates.

    The observation is (environment, step within the episode, episode), so that tests know where they are.
    """

    def __init__(self, lengths: list[list[int]], truncates: list[bool] | None = None, *, masks: bool = False):
        self.spec = vector_spec(3, 2, action_masks=masks)
        self.num_envs = len(lengths)
        self.actions: list[np.ndarray] = []
        self.closed = False
        self.observation: Observation = {}
        self.legal_actions: np.ndarray | None = None
        self._all_lengths = lengths
        self._truncates = np.array(truncates or [False] * len(lengths))
        self._masks = masks

    def reset(self, seed: int) -> tuple[Observation, np.ndarray | None]:
        self._script: list[Iterator[int]] = [itertools.cycle(lengths) for lengths in self._all_lengths]
        self._length = np.array([next(each) for each in self._script])
        self._at = np.zeros(self.num_envs, int)
        self._episode = np.zeros(self.num_envs, int)
        self._done = np.zeros(self.num_envs, bool)
        self.observation, self.legal_actions = self._observation(), self._legal()
        return self.observation, self.legal_actions

    def step(self, actions: np.ndarray) -> Step:
        self.actions.append(actions)
        is_reset = self._done
        for i in np.flatnonzero(is_reset):
            self._length[i] = next(self._script[i])
        self._at = np.where(is_reset, 0, self._at + 1)
        self._episode += is_reset
        self._done = ~is_reset & (self._at >= self._length)
        reward = (~is_reset).astype(np.float32)
        observation = self.observation = self._observation()
        self.legal_actions = self._legal()
        done, cut = self._done, self._truncates
        return Step(observation, reward, done & ~cut, done & cut, is_reset, self.legal_actions)

    def state(self) -> dict[str, np.ndarray] | None:
        return None

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        raise AssertionError("it gave no state")

    def lasting_state(self) -> dict[str, np.ndarray]:
        return {}

    def load_lasting_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        assert not arrays

    def render(self) -> np.ndarray | None:
        return None

    def close(self) -> None:
        self.closed = True

    def _observation(self) -> Observation:
        columns = [np.arange(self.num_envs), self._at, self._episode]
        return {"observation": np.stack(columns, axis=1).astype(np.float32)}

    def _legal(self) -> np.ndarray | None:
        return np.tile([False, True], (self.num_envs, 1)) if self._masks else None


class StatefulFakeTask(FakeTask):
    """One whose lengths are all alike, and which gives its state."""

    def state(self) -> dict[str, np.ndarray] | None:
        return {"at": self._at.copy(), "episode": self._episode.copy(), "done": self._done.copy()}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._at, self._episode = arrays["at"].copy(), arrays["episode"].copy()
        self._done = arrays["done"].copy()
        self.observation, self.legal_actions = self._observation(), self._legal()
