"""`Config`: the whole configuration, frozen, typed and bounded. Each key's default and meaning are defined once.

The sections about what is learned, and how, have a file each; those about the run are here. `toml.py` reads, checks and
writes a configuration. Units are in the names: `_env_steps` are transitions taken in the task, all environments
together; `_train_steps` are updates. `learner.batch_size` is the global batch.
"""

from typing import Annotated, Literal

from msgspec import Meta, field, structs

from tfdqn.config.agent import DQN, PQN, Agent, Ensemble
from tfdqn.config.exploration import EpsilonGreedy, Exploration
from tfdqn.config.fields import (
    FIXED_IN_BOTH,
    FIXED_IN_REPLAY,
    MAY_CHANGE,
    Count,
    CountOrZero,
    Positive,
    Section,
    doc,
    fixed_in,
    kinds,
    named,
    needs,
    needs_agent,
)
from tfdqn.config.learner import Learner
from tfdqn.config.network import MLP, Network
from tfdqn.config.optimizer import Adam, Optimizer
from tfdqn.config.priorities import Priorities
from tfdqn.config.task import Task
from tfdqn.config.tracking import Tracking

_REVERB = needs("replay.backend", "reverb")
_SEQUENCE = needs("replay.item", "sequence")
_ON_BEST = needs("export.on_best", True)
_HAS_REPLAY = needs_agent("has_replay", "it has no replay")


class Acting(Section, frozen=True, kw_only=True):
    """How experience is gathered."""

    actors: Annotated[int, doc("number of actors, each with task.num_envs environments", ge=1, le=1024)] = 1
    fetch_interval_seconds: Annotated[
        float, doc("how often an actor in a process of its own asks for newer weights", ge=0.001, le=3600)
    ] = 0.1
    inference: Annotated[
        Literal["local", "central"],
        doc(
            "where actors in processes of their own get Q-values; local: from their own copy; central: from the learner"
        ),
    ] = "local"
    device: Annotated[
        Literal["auto", "cpu", "gpu"],
        doc("where the process that learns computes Q for acting, beyond NumPy; auto: a GPU if central, else the CPU"),
    ] = "auto"
    most_envs_per_inference: Annotated[
        int,
        needs("acting.inference", "central"),
        doc("maximum number of environments in one central call of the Q-function", ge=1, le=2**20),
    ] = 1024


class Replay(Section, frozen=True, kw_only=True):
    """The transitions that updates sample: uniformly, or by `[priorities]`."""

    backend: Annotated[
        Literal["reverb", "in_graph"], doc("reverb, or in_graph: sampled by seed, for runs that repeat bit for bit")
    ] = "reverb"
    item: Annotated[
        str,
        named("block", "frames", "sequence"),
        doc("block: packed transitions; frames: each frame of a stack stored once; sequence: for networks with memory"),
    ] = "block"
    block_size: Annotated[
        int,
        _REVERB,
        needs("replay.item", "block"),
        doc("transitions per block in Reverb; must divide learner.batch_size", ge=1, le=4096),
    ] = 16
    sequence_length: Annotated[int, _SEQUENCE, doc("steps of a sequence that are learned from", ge=1, le=10_000)] = 80
    burn_in: Annotated[
        int, _SEQUENCE, doc("steps before each sequence that warm up the memory, without a gradient", ge=0, le=10_000)
    ] = 40
    sequence_period: Annotated[
        int,
        _SEQUENCE,
        doc("steps between the starts of consecutive sequences; a sequence counts as this many", ge=1, le=10_000),
    ] = 40
    shards: Annotated[
        int,
        _REVERB,
        FIXED_IN_REPLAY,
        doc("Reverb servers that share the transitions evenly; each batch mixes all of them", ge=1, le=1024),
    ] = 1
    capacity: Annotated[
        int,
        Meta(ge=1, le=2**31 - 1),  # Reverb counts a table's items in 32 bits
        doc("transitions kept, over all shards; the oldest are removed first"),
    ] = 10_000
    min_size: Annotated[Count, doc("transitions stored before learning starts")] = 10_000


class Stop(Section, frozen=True, kw_only=True):
    """When training ends: at the first of these."""

    env_steps: Annotated[Count, doc("after this many environment steps")] = 500_000
    return_at_least: Annotated[
        float | None, doc("when the mean return of a confirmed evaluation reaches this; omit: never")
    ] = None
    patience_evaluations: Annotated[
        CountOrZero, doc("after this many evaluations in a row without a new best; 0: never")
    ] = 0


class Evaluation(Section, frozen=True, kw_only=True):
    """Greedy episodes in environments of their own; the best policy is kept."""

    interval_env_steps: Annotated[Count, doc("environment steps between evaluations")] = 10_000
    episodes: Annotated[int, doc("episodes of each evaluation", ge=1, le=100_000)] = 20
    confirm_episodes: Annotated[
        int, doc("further episodes that must confirm a new best; 0: none", ge=0, le=100_000)
    ] = 80
    max_episode_steps: Annotated[
        Count, doc("truncate evaluation episodes here, even where the task's own limit is higher")
    ] = 10_000
    final_episodes: Annotated[
        int, MAY_CHANGE, doc("fresh episodes of the best policy at the end", ge=1, le=100_000)
    ] = 100


class Checkpoint(Section, frozen=True, kw_only=True):
    """Saved states from which a run can be resumed."""

    interval_seconds: Annotated[Positive, doc("seconds between checkpoints")] = 30.0
    keep: Annotated[int, doc("how many of the newest checkpoints to keep", ge=1, le=1000)] = 2


class Export(Section, frozen=True, kw_only=True):
    """Versions of the policy exported for serving during training; one is always exported at the end."""

    on_best: Annotated[bool, doc("export a version whenever an evaluation sets a new best")] = False
    keep: Annotated[int, _ON_BEST, doc("how many of the newest versions made by on_best to keep", ge=1, le=10_000)] = 3
    directory: Annotated[
        str, _ON_BEST, doc('where on_best exports to: a path or a URL such as gs://…; "": exports/ in the run')
    ] = ""


class Logging(Section, frozen=True, kw_only=True):
    """What is logged."""

    interval_seconds: Annotated[Positive, doc("seconds between points of the curves")] = 1.0
    tensorboard: Annotated[bool, doc("write TensorBoard event files")] = True


class Health(Section, frozen=True, kw_only=True):
    """When a process counts as dead or stuck, and how long others wait for it."""

    beat_seconds: Annotated[float, doc("seconds between a process's heartbeats", ge=0.05, le=60)] = 1.0
    dead_after_seconds: Annotated[
        float, doc("seconds without a heartbeat after which a process counts as dead", ge=0.5, le=3600)
    ] = 8.0
    stuck_after_seconds: Annotated[
        float, doc("seconds without progress after which a process ends itself", ge=1, le=86_400)
    ] = 600.0
    patience_seconds: Annotated[
        Positive, doc("seconds that a process waits for another to appear, or to return, before it gives up")
    ] = 300.0


class Config(Section, frozen=True, kw_only=True):
    """The configuration of a run. `tfdqn config FILE` prints it in full, with a comment for each key."""

    seed: Annotated[int, FIXED_IN_BOTH, doc("seeds every random stream of the run", ge=0, le=2**31 - 1)] = 1
    task: Annotated[Task, FIXED_IN_BOTH] = field(default_factory=Task)
    network: Network = field(default_factory=MLP)
    agent: Agent = field(default_factory=DQN)
    ensemble: Annotated[Ensemble, FIXED_IN_BOTH] = field(default_factory=Ensemble)
    optimizer: Optimizer = field(default_factory=Adam)
    exploration: Exploration = field(default_factory=EpsilonGreedy)
    acting: Annotated[Acting, MAY_CHANGE] = field(default_factory=Acting)
    replay: Annotated[Replay, _HAS_REPLAY, FIXED_IN_BOTH] = field(default_factory=Replay)
    priorities: Annotated[Priorities, _HAS_REPLAY] = field(default_factory=Priorities)
    learner: Learner = field(default_factory=Learner)
    stop: Annotated[Stop, MAY_CHANGE] = field(default_factory=Stop)
    evaluation: Evaluation = field(default_factory=Evaluation)
    checkpoint: Annotated[Checkpoint, MAY_CHANGE] = field(default_factory=Checkpoint)
    export: Annotated[Export, MAY_CHANGE] = field(default_factory=Export)
    logging: Annotated[Logging, MAY_CHANGE] = field(default_factory=Logging)
    tracking: Annotated[Tracking, MAY_CHANGE] = field(default_factory=Tracking)
    health: Annotated[Health, MAY_CHANGE] = field(default_factory=Health)

    @property
    def updates_per_call(self) -> int:
        """Updates made by one call into TensorFlow; with rollouts, all the updates of one rollout."""
        if isinstance(self.agent, PQN):
            rollout = self.agent.rollout_steps * self.task.num_envs
            return self.agent.epochs * rollout // self.learner.batch_size
        return self.learner.updates_per_call


def keys() -> dict[str, tuple[str, ...]]:
    """Every key of every kind, with where it is fixed: {"seed": ("run", "replay"), "task.restarts": (), …}."""
    found = {}
    for each in structs.fields(Config):
        own = fixed_in(each.type, ("run",))
        by_kind = kinds(each.type)
        if "" not in by_kind:
            found[f"{each.name}.kind" if by_kind else each.name] = own
        for struct in by_kind.values():
            found |= {f"{each.name}.{key.name}": fixed_in(key.type, own) for key in structs.fields(struct)}
    return found
