"""`Learner`: a call's worth of updates, checked and published."""

from typing import NamedTuple

import numpy as np

from tfdqn.errors import NotFiniteError
from tfdqn.learning.synchronous import SynchronousUpdates
from tfdqn.learning.train_step import TrainStep, UpdateMetrics
from tfdqn.variables import VariablePublisher


class LearnerMetrics(NamedTuple):
    """The last call's updates in numbers: means over its updates, but for `max_q`, their maximum."""

    loss: float
    mean_q: float
    max_q: float
    mean_abs_td_error: float
    gradient_norm: float


class Learner:
    """Runs updates → checks them → publishes the weights.

    Args:
      train_step: what is trained.
      updates: makes a fixed number of updates per call.
      publisher: where the new weights go.
    """

    def __init__(self, train_step: TrainStep, updates: SynchronousUpdates, publisher: VariablePublisher):
        self._train_step = train_step
        self._updates = updates
        self._publisher = publisher
        self.train_steps = int(train_step.train_steps.numpy())
        self.metrics: LearnerMetrics | None = None

    def publish(self) -> None:
        """Publishes the weights as they are, so that actors can begin."""
        weights = self._train_step.agent.network.named_weights()
        self._publisher.publish(self.train_steps, {name: w.numpy() for name, w in weights.items()})

    def run(self) -> int:
        """One call: K updates. Returns K. Raises NotFiniteError; the weights published stay finite."""
        updated = self._updates()
        history = updated.metrics
        self._check_finite(history)
        self.train_steps += len(history.loss)
        self.metrics = LearnerMetrics(
            loss=float(history.loss.mean()),
            mean_q=float(history.mean_q.mean()),
            max_q=float(history.max_q.max()),
            mean_abs_td_error=float(history.mean_abs_td_error.mean()),
            gradient_norm=float(history.gradient_norm.mean()),
        )
        self._publisher.publish(self.train_steps, updated.weights)
        return len(history.loss)

    def _check_finite(self, history: UpdateMetrics) -> None:
        for name in ("loss", "gradient_norm"):
            bad = np.flatnonzero(~np.isfinite(getattr(history, name)))
            if bad.size:
                step = self.train_steps + int(bad[0]) + 1
                raise NotFiniteError(
                    f"{name.replace('_', ' ')} is {getattr(history, name)[bad[0]]} at train step {step}; "
                    f"the last checkpoint is intact. Lower optimizer.learning_rate, or set "
                    f"agent.gradient_clip_norm, or check the task's rewards"
                )
