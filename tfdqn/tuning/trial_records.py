"""`Trial`: the record of a trial; and how trials are scored and their evaluations numbered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from tfdqn.config import Config, toml


class TrialState(StrEnum):
    """The state of a trial."""

    RUNNING = "running"
    STOPPED = "to be resumed"  # no process trains it any more, and it has not ended
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    LOST = "lost"  # its process died before the trial began, or its host died: it is replaced by another trial


class Trial(NamedTuple):
    """A trial as the study records it."""

    number: int
    state: TrialState
    values: Mapping[str, Any]  # by key, as the configuration has them
    score: float | None  # the mean return of its final evaluation; None unless it is complete
    returns: Mapping[int, float]  # mean returns of its evaluations, by number, from 1
    why: str = ""  # why it failed

    @property
    def has_ended(self) -> bool:
        """Whether nobody trains it any more, now or later."""
        return self.state not in (TrialState.RUNNING, TrialState.STOPPED)

    @property
    def counts(self) -> bool:
        """Whether the trial counts towards the number that is wanted; if not, another replaces it."""
        return self.state is not TrialState.LOST


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The complete trial with the highest score, the earliest if several have it; None if none is complete."""
    complete = [(each.score, -each.number, each) for each in trials if each.score is not None]
    return max(complete)[2] if complete else None


def counts_by_state(trials: Sequence[Trial]) -> dict[str, int]:
    """How many trials are in each state in which there are some."""
    counts = Counter(each.state for each in trials)
    return {str(state): counts[state] for state in TrialState if counts[state]}


def in_words(counts: Mapping[str, int]) -> list[str]:
    """Counts by state in words: "11 complete", "1 failed"."""
    return [f"{count} {state}" for state, count in counts.items()]


def value_in_short(value: Any) -> str:
    """A key's value as TOML has it; a float with four digits, which say enough where many trials are compared."""
    return f"{value:.4g}" if isinstance(value, float) else toml.written(value)


def ended_of(trials: Sequence[Trial]) -> int:
    """How many trials have ended and count towards the number that is wanted."""
    return sum(each.counts and each.has_ended for each in trials)


def total_evaluations(config: Config) -> int:
    """How many evaluations a trial makes if it is not ended early."""
    return max(1, config.stop.env_steps // config.evaluation.interval_env_steps)


def evaluation_number(config: Config, env_steps: int) -> int:
    """The number of the evaluation that a trial makes after so many environment steps, counted from 1."""
    return max(1, round(env_steps / config.evaluation.interval_env_steps))
