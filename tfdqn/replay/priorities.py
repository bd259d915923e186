"""`PriorityScale`: turns TD errors into priorities."""

import threading
from collections.abc import Mapping

import numpy as np

from tfdqn.config import Priorities


class PriorityScale:
    """Priorities p = |TD error| + epsilon, and the largest so far, initially 1 (Schaul et al. 2016, algorithm 1)."""

    def __init__(self, settings: Priorities):
        self._epsilon = settings.epsilon
        self.largest = 1.0
        self._lock = threading.Lock()

    def __call__(self, errors: np.ndarray) -> np.ndarray:
        """Turns absolute TD errors float32[N] into priorities float64[N]; NaN (unknown) gives the largest so far."""
        priorities = errors.astype(np.float64) + self._epsilon
        is_unknown = np.isnan(priorities)
        self.raise_to(float(priorities.max(initial=0.0, where=~is_unknown)))
        return np.where(is_unknown, self.largest, priorities)

    def raise_to(self, priority: float) -> None:
        """Raises the largest priority to `priority`, if that is larger."""
        with self._lock:
            self.largest = max(self.largest, priority)

    def state(self) -> dict[str, np.ndarray]:
        """The largest priority so far."""
        return {"largest_priority": np.array(self.largest)}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.raise_to(float(arrays["largest_priority"]))
