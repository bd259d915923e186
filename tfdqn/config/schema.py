"""`Config`: the whole configuration, frozen, typed and bounded. Each key's default and meaning are defined once.

The sections about what is learned, and how, have files of their own; those about the run are here. `toml.py` reads,
checks and writes a configuration. Units are in the names: `_env_steps` are transitions taken in the task, all
environments together; `_train_steps` are updates. `learner.batch_size` is the global batch.
"""

from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from typing import Annotated, Any, Literal

from msgspec import Struct, field, structs, to_builtins

from tfdqn.config.acting import Acting, EpsilonGreedy, Exploration
from tfdqn.config.agent import DQN, PQN, Agent, Ensemble
from tfdqn.config.fields import (
    FIXED_IN_BOTH,
    FIXED_IN_RUN,
    MAY_CHANGE,
    Count,
    CountOrZero,
    Positive,
    PositiveFraction,
    Section,
    doc,
    fixed_in,
    kinds,
    needs,
    needs_agent,
)
from tfdqn.config.learner import Learner
from tfdqn.config.network import MLP, Network
from tfdqn.config.optimizer import Adam, Optimizer
from tfdqn.config.own_code import without_tag
from tfdqn.config.replay import Priorities, Replay
from tfdqn.config.task import Task
from tfdqn.config.wording import shown
from tfdqn.errors import ConfigError

_ON_BEST = needs("export.on_best", True)
_WANDB = needs("tracking.wandb", True)
_MLFLOW = needs("tracking.mlflow", True)
_HAS_REPLAY = needs_agent("has_replay", "it has no replay")


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
        Count, FIXED_IN_RUN, doc("truncate evaluation episodes here, even where the task's own limit is higher")
    ] = 10_000
    final_episodes: Annotated[int, doc("fresh episodes of the best policy at the end", ge=1, le=100_000)] = 100


class Checkpoint(Section, frozen=True, kw_only=True):
    """Saved states from which a run can be resumed."""

    interval_seconds: Annotated[Positive, doc("seconds between checkpoints")] = 30.0
    max_time_share: Annotated[
        PositiveFraction, doc("largest share of the time that saving may take; a large replay is saved less often")
    ] = 0.05
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


class Tracking(Section, frozen=True, kw_only=True):
    """Weights & Biases and MLflow: configuration, curves, evaluations, a video and the model of the best policy."""

    name: Annotated[str | None, doc("name of the run in both; omit: the run directory's name")] = None
    tags: Annotated[tuple[str, ...], doc("tags of the run, to filter by")] = ()
    wandb: Annotated[bool, doc("track in Weights & Biases; needs the extra wandb, and `wandb login`")] = False
    wandb_project: Annotated[str, _WANDB, doc("project that the run belongs to", min_length=1)] = "tfdqn"
    wandb_entity: Annotated[str | None, _WANDB, doc("user or team; omit: the account's default")] = None
    wandb_group: Annotated[str | None, _WANDB, doc("group of runs; omit: none")] = None
    wandb_mode: Annotated[
        Literal["auto", "online", "offline"],
        _WANDB,
        doc("online; offline: to be sent later by `wandb sync`; auto: as WANDB_MODE says, else online"),
    ] = "auto"
    mlflow: Annotated[bool, doc("track in MLflow; needs the extra mlflow")] = False
    mlflow_experiment: Annotated[str, _MLFLOW, doc("experiment that the run belongs to", min_length=1)] = "tfdqn"
    mlflow_tracking_uri: Annotated[
        str | None, _MLFLOW, doc("a server's URL or a folder; omit: MLFLOW_TRACKING_URI, else ./mlruns")
    ] = None


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
    learner: Annotated[Learner, MAY_CHANGE] = field(default_factory=Learner)
    stop: Annotated[Stop, MAY_CHANGE] = field(default_factory=Stop)
    evaluation: Annotated[Evaluation, MAY_CHANGE] = field(default_factory=Evaluation)
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

    @property
    def is_slow_in_xla(self) -> bool:
        """Whether XLA makes updates slower on a CPU, as it does convolutions and an ensemble's batched products."""
        return self.network.is_slow_in_xla or self.ensemble.size > 1


Check = Callable[[Config], Iterator[str]]  # as `checks.py` describes it


def checks_among(names: Mapping[str, Any]) -> tuple[Check, ...]:
    """The checks among a module's `globals()`, in the order in which they are written."""
    return tuple(each for name, each in names.items() if name.startswith("check_"))


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


def require_sections(config: Any) -> None:
    """Raises ConfigError unless this is a `Config`, and each section a struct whose kind a file can name."""
    if not isinstance(config, Config):
        raise ConfigError(f"config: a tfdqn.Config is needed (tfdqn.load_config reads one), not {config!r}")
    for each in structs.fields(Config):
        section, by_kind = getattr(config, each.name), kinds(each.type)
        if by_kind and isinstance(section, type):
            raise ConfigError(f"configuration: {each.name} = {section.__name__} is a class: write {section.__name__}()")
        if by_kind and not isinstance(section, Struct):
            raise ConfigError(f"configuration: {each.name} = {shown(section)}: must be a table, [{each.name}]")
        if by_kind and "" not in by_kind and (problem := without_tag(type(section))):
            raise ConfigError(f"configuration: {each.name}: {problem}")


def values_of(config: Config | Mapping[str, Any]) -> dict[str, Any]:
    """The values by section and key, in Python's own types; from Python, a number may be NumPy's.

    Raises TypeError for what no key takes.
    """
    values: dict[str, Any] = to_builtins(config, enc_hook=_pythons)
    return values


def _pythons(number: Any) -> int | float:
    if isinstance(number, Real):
        return int(number) if isinstance(number, Integral) else float(number)
    raise TypeError(f"no key takes {number!r}, a {type(number).__name__}")
