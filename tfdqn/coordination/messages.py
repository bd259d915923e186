"""The messages of a job's processes: all requests to the learner, and its answers."""

import hashlib
import operator
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from tfdqn.cluster.roles import ProcessId
from tfdqn.records import EpisodeScores, Evaluation
from tfdqn.task_spec import TaskSpec

# Bounded, so that even sums of malicious numbers can be encoded.
Number = Annotated[int, Meta(ge=0, le=2**48)]


class Phase(StrEnum):
    """The phase of a job."""

    TRAINING = "training"
    FINISHING = "finishing"  # acting is over; the evaluator makes its final evaluation
    OVER = "over"


class Counts(Struct, frozen=True, kw_only=True):
    """What a process has done since it joined the present life of the learner. Counts only grow."""

    env_steps: Number = 0
    episodes: Number = 0
    environment_restarts: Number = 0  # environments that failed and were made anew

    def __add__(self, other: "Counts") -> "Counts":
        return self._with(operator.add, other)

    def __sub__(self, other: "Counts") -> "Counts":
        return self._with(operator.sub, other)

    def at_least(self, other: "Counts") -> "Counts":
        """The larger of each pair of counts."""
        return self._with(max, other)

    def _with(self, combine: Callable[[int, int], int], other: "Counts") -> "Counts":
        each = self.__struct_fields__
        return Counts(**{name: combine(getattr(self, name), getattr(other, name)) for name in each})


def fingerprint(config: str) -> str:
    """A fingerprint of a configuration as TOML; equal for equal configurations."""
    return hashlib.sha256(config.encode()).hexdigest()[:16]


class Heartbeat(Struct, frozen=True, kw_only=True, rename={"process_id": "member"}):
    """What every other process sends the learner once a second: its state and counts."""

    process_id: ProcessId
    life: str  # of the process: another with each start
    pid: int
    host: str
    joined: str  # the learner's life that it takes part in; empty: none yet
    state: str  # what it is doing, in words
    steps_per_second: float = 0.0  # of an actor: environment steps
    counts: Counts = field(default_factory=Counts)
    episode_return: float | None = None  # mean of an actor's recent episodes
    episode_length: float | None = None
    weights_version: int = -1  # that it acts with; -1: none
    config: str = ""  # of its configuration: as `fingerprint` gives it


class Answer(Struct, frozen=True, kw_only=True):
    """The learner's answer to a heartbeat."""

    life: str  # of the learner: a process that joined another must start again, or join this one
    phase: Phase
    has_begun: bool  # whether the learner has its weights, and knows what was counted before its life
    env_steps: int  # taken in the whole job
    start: str | UnsetType = UNSET  # as `Counters.start`; known once it has begun
    may_meet: bool = False  # whether the learner is ready for the rendezvous of lockstep processes
    largest_priority: float = 1.0  # so far: what new items of replay get, where sampling is by priorities


class Hello(Struct, frozen=True, kw_only=True):
    """A process's request to join, when it starts."""

    process_id: ProcessId
    config: str  # as TOML, whole: the learner refuses another than its own


class Welcome(Struct, frozen=True, kw_only=True):
    """The learner's answer to a request to join."""

    life: str
    task_spec: TaskSpec


class WeightsRequest(Struct, frozen=True):
    """Asks for the newest weights, unless these are held already."""

    held: int  # their version; -1: none are held
    life: str = ""  # of the learner that has made them; empty: none are held


class NamedArray(Struct, frozen=True, array_like=True):
    """An array, as bytes in C order."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: bytes


class WeightsReply(Struct, frozen=True):
    """The newest weights; none if the process has these already, or if there are none yet."""

    version: int  # -1: none were published yet
    arrays: tuple[NamedArray, ...] = ()
    life: str = ""  # of the learner: another may count to the same version


class QValuesRequest(Struct, frozen=True):
    """Asks for the Q-values of a batch of observations, of the newest weights."""

    observation: tuple[NamedArray, ...]  # [B, …] each
    legal_actions: NamedArray | None  # bool[B, A]; None where all are legal


class QValues(Struct, frozen=True):
    """The Q-values of a request."""

    version: int  # of the weights
    q_values: NamedArray  # float32[B, A]; an ensemble's aggregate


class EvaluatorReport(Struct, frozen=True, kw_only=True):
    """The evaluator's report."""

    joined: str = ""  # the learner's life that it is for: another may have begun anew
    evaluation: Evaluation | None = None  # None: there is nothing new
    best_return: float | None = None
    evaluations_without_best: int = 0
    final: EpisodeScores | None = None  # of the best policy, when the job is finishing
    is_done: bool = False  # the final evaluation has been reported


class Nothing(Struct, frozen=True):
    """An empty message."""


class ProcessStatus(
    Struct, frozen=True, kw_only=True, rename={"heartbeat": "beat", "seconds_since_heartbeat": "seconds_since_beat"}
):
    """The state of a process, as the learner knows it."""

    heartbeat: Heartbeat
    seconds_since_heartbeat: float


class ReplayStatus(Struct, frozen=True, kw_only=True):
    """The state of a replay server by its last answer to the learner, in transitions."""

    address: str
    stored: int
    capacity: int
    inserted: int  # since its table was first made
    sampled: int
    seconds_since_answer: float


IS_STARTING = "the learner is starting"  # why it refuses to be inspected, until it trains


class Inspection(Struct, frozen=True, kw_only=True, rename={"processes": "members"}):
    """The state of a job, as the learner knows it."""

    phase: Phase
    state: str  # of the learner itself
    env_steps: int
    train_steps: int
    episodes: int
    seconds: float
    weights_version: int
    updates_per_second: float
    best_return: float | None
    processes: tuple[ProcessStatus, ...]
    replay: tuple[ReplayStatus, ...] = ()
    pid: int = 0  # of the learner
    host: str = ""  # likewise
    life: str = ""  # likewise
    resumed: str = ""  # where that life resumed the run, in words; empty: it began the run
    discarded: tuple[str, ...] = ()  # what it put aside and emptied because it found no checkpoint, in words
