"""The whole configuration: frozen, typed, bounded; each key's default and meaning stand once, here or below.

The sections that say what is learned and how have a file each; those of the run are here. `toml.py` reads a
configuration, checks it and writes it back.
Units are in the names: `_env_steps` are transitions taken in the task (all environments together),
`_train_steps` are applied gradient updates. `learner.batch_size` is the global batch.
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from tfdqn.config.agent import DQN, Agent, Ensemble
from tfdqn.config.exploration import EpsilonGreedy, Exploration
from tfdqn.config.fields import Count, CountOrZero, Positive, Section, doc
from tfdqn.config.learner import Learner
from tfdqn.config.network import MLP, Network
from tfdqn.config.optimizer import Adam, Optimizer
from tfdqn.config.task import Task

# Of a task's keys those that may change when a run goes on: what is learned doesn't depend on them.
TASK_KEYS_THAT_MAY_CHANGE = ("task.action_names", "task.restarts")


class Acting(Section, frozen=True, kw_only=True):
    """Who gathers experience."""

    actors: Annotated[
        int,
        Meta(ge=1, le=1024),
        doc("actors, each with task.num_envs environments and its part of the ladder"),
    ] = 1
    fetch_interval_seconds: Annotated[
        float,
        Meta(ge=0.001, le=3600),
        doc("between two questions for newer weights, of an actor in a process of its own"),
    ] = 0.1
    inference: Annotated[
        Literal["local", "central"],
        doc(
            "of actors in processes of their own: local: each has the weights; central: the learner computes Q"
        ),
    ] = "local"
    most_envs_per_inference: Annotated[
        int, Meta(ge=1, le=2**20), doc("environments that one central call of the Q-function serves")
    ] = 1024


class Replay(Section, frozen=True, kw_only=True):
    """Where transitions wait to be sampled, uniformly."""

    backend: Annotated[
        Literal["reverb", "in_graph"], doc("in_graph: seeded sampling, for runs that repeat bit for bit")
    ] = "reverb"
    item: Annotated[
        Literal["block", "frames"],
        doc("block: finished transitions, packed; frames: each frame of a stack is stored once"),
    ] = "block"
    block_size: Annotated[
        int, Meta(ge=1, le=4096), doc("transitions per block in reverb; divides the batch")
    ] = 16
    shards: Annotated[
        int,
        Meta(ge=1, le=1024),
        doc("Reverb servers that share the transitions evenly; batches mix all of them"),
    ] = 1
    capacity: Annotated[
        int,
        Meta(ge=1, le=2**31 - 1),  # Reverb counts a table's items in 32 bits
        doc("transitions kept, over all shards; the oldest go first"),
    ] = 10_000
    min_size: Annotated[Count, doc("transitions stored before learning starts")] = 10_000


class Stop(Section, frozen=True, kw_only=True):
    """When training ends: whichever comes first."""

    env_steps: Annotated[Count, doc("after this many environment steps")] = 500_000
    return_at_least: Annotated[
        float | None, doc("when a confirmed evaluation's mean return is this high; omit: never")
    ] = None
    patience_evaluations: Annotated[
        CountOrZero, doc("after this many evaluations without a new best; 0: never")
    ] = 0


class Evaluation(Section, frozen=True, kw_only=True):
    """Greedy episodes on environments of their own; the best policy is kept."""

    interval_env_steps: Annotated[Count, doc("environment steps between evaluations")] = 10_000
    episodes: Annotated[int, Meta(ge=1, le=100_000), doc("episodes of each evaluation")] = 20
    confirm_episodes: Annotated[
        int, Meta(ge=0, le=100_000), doc("further episodes that must bear out a new best; 0: none")
    ] = 80
    max_episode_steps: Annotated[
        Count, doc("evaluations cut episodes here, even where the task's own limit is higher")
    ] = 10_000
    final_episodes: Annotated[int, Meta(ge=1, le=100_000), doc("fresh episodes at the end, best policy")] = (
        100
    )


class Checkpoint(Section, frozen=True, kw_only=True):
    """What a run can be resumed from."""

    interval_seconds: Annotated[Positive, doc("between checkpoints")] = 30.0
    keep: Annotated[int, Meta(ge=1, le=1000), doc("newest checkpoints kept")] = 2


class Export(Section, frozen=True, kw_only=True):
    """Versions of the policy for serving, made while training goes on; one is made at the end in any case."""

    on_best: Annotated[bool, doc("make a version each time an evaluation sets a new best")] = False
    keep: Annotated[int, Meta(ge=1, le=10_000), doc("newest versions kept, of those made by on_best")] = 3
    directory: Annotated[
        str, doc('where on_best makes them: a path or a URL such as gs://…; "": exports/ in the run')
    ] = ""


class Logging(Section, frozen=True, kw_only=True):
    """What can be watched."""

    interval_seconds: Annotated[Positive, doc("between points of the curves")] = 1.0
    tensorboard: Annotated[bool, doc("write TensorBoard event files")] = True


class Health(Section, frozen=True, kw_only=True):
    """When a process counts as lost or as stuck, and for how long another waits for it."""

    beat_seconds: Annotated[float, Meta(ge=0.05, le=60), doc("between two heartbeats of a process")] = 1.0
    dead_after_seconds: Annotated[
        float, Meta(ge=0.5, le=3600), doc("of silence, after which a process counts as dead")
    ] = 8.0
    stuck_after_seconds: Annotated[
        float,
        Meta(ge=1, le=86_400),
        doc("without progress, after which a process that should make some ends"),
    ] = 600.0
    patience_seconds: Annotated[
        Positive, doc("that a process waits for another to come, or to come back, before it gives up")
    ] = 300.0


class Config(Section, frozen=True, kw_only=True):
    """One run, whole. `tfdqn config FILE` prints it with a comment per key."""

    seed: Annotated[int, Meta(ge=0, le=2**31 - 1), doc("of every random stream of the run")] = 1
    task: Task = field(default_factory=Task)
    network: Network = field(default_factory=MLP)
    agent: Agent = field(default_factory=DQN)
    ensemble: Ensemble = field(default_factory=Ensemble)
    optimizer: Optimizer = field(default_factory=Adam)
    exploration: Exploration = field(default_factory=EpsilonGreedy)
    acting: Acting = field(default_factory=Acting)
    replay: Replay = field(default_factory=Replay)
    learner: Learner = field(default_factory=Learner)
    stop: Stop = field(default_factory=Stop)
    evaluation: Evaluation = field(default_factory=Evaluation)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    export: Export = field(default_factory=Export)
    logging: Logging = field(default_factory=Logging)
    health: Health = field(default_factory=Health)
