"""A job of which a test waits until it learns, wherever its processes are."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from tfdqn.coordination.messages import Inspection


class LearningJob(ABC):
    """What a test asks of a job that is under way."""

    @abstractmethod
    def inspection(self) -> Inspection | None:
        """As the learner says; None where it does not answer."""

    @abstractmethod
    def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits until a condition holds; fails at a deadline."""

    def until_learning(self, beyond: int = 0) -> None:
        """Waits until updates are being made, beyond so many."""

        def is_learning() -> bool:
            seen = self.inspection()
            return seen is not None and seen.train_steps > beyond

        self.until(is_learning, f"learning beyond {beyond} updates")

    def record_progress(self, updates: int = 50) -> None:
        """Waits until so many further updates have been made."""
        seen = self.inspection()
        self.until_learning(beyond=(0 if seen is None else seen.train_steps) + updates)
