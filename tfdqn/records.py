"""Records of a run: its counters and progress, its evaluations, and the summary of how it ended."""

from enum import StrEnum
from typing import Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType


class Status(StrEnum):
    """How a run, a job, a folder of seeds or a study stands, in a word for programs."""

    STARTING = "starting"
    TRAINING = "training"
    FINISHING = "finishing"  # the final evaluation and the results are made
    SILENT = "silent"  # the job's processes live, as far as is known, but its learner does not answer
    STOPPED = "stopped"  # nothing trains it here, and it has not finished: it can be resumed
    FAILED = "failed"  # likewise, and an error has ended it
    FINISHED = "finished"


class Counters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a run has come."""

    env_steps: int = 0
    transitions: int = 0  # written to replay, over all sessions
    # How many of these, beyond the first `replay.min_size`, owe no updates because they refilled an emptied replay.
    # UNSET in checkpoints of versions that did not count them, whose manifest's checksum was made without it.
    exempt_transitions: int | UnsetType = UNSET
    train_steps: int = 0
    episodes: int = 0
    seconds: float = 0.0  # wall time spent training, all sessions together
    evaluations_without_best: int = 0
    next_evaluation_env_steps: int = 0
    start: str | UnsetType = UNSET  # of a job: the life of the learner that began it without a checkpoint


class Progress(NamedTuple):
    """The state of a run, as a progress bar shows it."""

    env_steps: int
    total_env_steps: int
    train_steps: int
    seconds: float
    env_steps_per_second: float
    updates_per_second: float
    episode_return: float | None  # mean of the recent episodes, exploration included
    loss: float | None
    best_return: float | None  # greedy, as evaluated
    phase: str
    first_call_seconds: float | None = None  # how long the first call of updates has been running; None: it isn't

    @property
    def first_call(self) -> str:
        """The same in words; empty if it is not running, or not for long."""
        seconds = round(self.first_call_seconds or 0.0)
        return f"{seconds} s" if seconds else ""


class EpisodeScores(Struct, frozen=True, kw_only=True):
    """Statistics of finished greedy episodes. Returns are undiscounted sums of the task's own rewards."""

    episodes: int
    mean_return: float
    std_return: float
    median_return: float
    ci_low: float  # 95 % confidence interval of the mean, by percentile bootstrap
    ci_high: float
    mean_length: float  # environment steps


class Evaluation(Struct, frozen=True, kw_only=True):
    """One evaluation during training."""

    env_steps: int  # how many had been taken when it began
    train_steps: int  # how many the evaluated weights had had
    scores: EpisodeScores
    is_best: bool


class Standing(NamedTuple):
    """The state of a run's evaluations."""

    env_steps: int = 0  # how many had been taken when the last evaluation began
    train_steps: int | None = None  # how many its weights had had; None: not known, or there was none
    without_best: int = 0  # evaluations since the last new best


class Summary(Struct, frozen=True, kw_only=True):
    """The outcome of a run, which `summary.json` keeps once it has finished."""

    status: Literal["finished", "interrupted", "already finished"]
    reason: str  # why training ended
    env_steps: int
    train_steps: int
    episodes: int
    seconds: float  # of training, all sessions of the run together
    best_return: float | None  # mean greedy return of the best evaluation
    environment_restarts: int = 0  # how often a failed environment was replaced
    final: EpisodeScores | None = None  # the best policy's, in new episodes
    paths: dict[str, str] = {}  # the run's files that were written, by what they are
