"""The whole configuration: frozen, typed, bounded; each key's default and meaning stand here, once.

`config_file.py` reads it from TOML, checks it and writes it back. Nothing here imports TensorFlow.
Units are in the names: `_env_steps` are transitions taken in the task (all environments together),
`_train_steps` are applied gradient updates. `learner.batch_size` is the global batch.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Count = Annotated[int, Meta(ge=1, le=2**53)]
CountOrZero = Annotated[int, Meta(ge=0, le=2**53)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
PositiveFraction = Annotated[float, Meta(gt=0, le=1)]
DecayRate = Annotated[float, Meta(ge=0, lt=1)]
Positive = Annotated[float, Meta(gt=0, le=1e12)]
NonNegative = Annotated[float, Meta(ge=0, le=1e12)]


def doc(text: str) -> Meta:
    """What a key means; `tfdqn config` prints it beside the value."""
    return Meta(description=text)


class Task(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is learned: a gymnasium task, batched."""

    id: Annotated[str, Meta(min_length=1), doc("gymnasium id, or my_package.my_envs:Name-v0")] = "CartPole-v1"
    kwargs: Annotated[dict[str, Any], doc("keyword arguments of the task itself")] = field(
        default_factory=dict
    )
    num_envs: Annotated[int, Meta(ge=1, le=4096), doc("environments stepped as one batch, by each actor")] = (
        16
    )
    vectorization: Annotated[
        Literal["auto", "own", "sync", "async"],
        doc("own: the task's own vector version; sync: in turn; async: a process each; auto: own, else sync"),
    ] = "auto"
    max_episode_steps: Annotated[CountOrZero, doc("truncate episodes here; 0: the task's own limit")] = 0
    frame_stack: Annotated[int, Meta(ge=1, le=16), doc("consecutive observations stacked into one")] = 1
    action_masks: Annotated[bool, doc('legal actions come in info["action_mask"]')] = False


class MLP(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="mlp"):
    """Dense layers over the flattened observation."""

    hidden_units: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65536)], ...], doc("width of each hidden layer")
    ] = (120, 84)
    activation: Annotated[Literal["relu", "tanh", "elu"], doc("after each hidden layer")] = "relu"


class NatureCNN(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="nature_cnn"
):
    """Mnih et al. 2015, Methods, 'Model architecture': three convolutions and a dense layer."""

    dense_units: Annotated[int, Meta(ge=1, le=65536), doc("width of the dense layer")] = 512


class Linear(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="linear"):
    """Q(s, a) = theta_a . phi(s)."""

    features: Annotated[Literal["identity", "polynomial"], doc("the feature map phi")] = "identity"
    degree: Annotated[int, Meta(ge=1, le=6), doc("highest total degree of the polynomial features")] = 2


class Agent(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The temporal-difference objective."""

    kind: Annotated[Literal["dqn", "double_dqn"], doc("how the next state's value is estimated")] = "dqn"
    n_step: Annotated[int, Meta(ge=1, le=1000), doc("rewards summed before bootstrapping")] = 1
    discount: Annotated[Fraction, doc("gamma, per environment step")] = 0.99
    loss: Annotated[Literal["squared", "huber"], doc("of the TD error; squared is halved: delta^2 / 2")] = (
        "squared"
    )
    huber_delta: Annotated[Positive, doc("|TD error| beyond which the Huber loss is linear")] = 1.0
    reward_scale: Annotated[Positive, doc("rewards are multiplied by this in the loss alone")] = 1.0
    target_update_period_train_steps: Annotated[Count, doc("updates between target updates")] = 50
    target_update_tau: Annotated[PositiveFraction, doc("1: copy; below: Polyak averaging")] = 1.0
    gradient_clip_norm: Annotated[NonNegative, doc("global norm of the combined gradient; 0: off")] = 0.0


class ScheduledRate(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The learning rate, which every optimiser has."""

    learning_rate: Annotated[Positive, doc("step size at the start")] = 2.5e-4
    schedule: Annotated[Literal["constant", "linear", "exponential"], doc("of the learning rate")] = (
        "constant"
    )
    end_learning_rate: Annotated[Positive, doc("learning rate when the schedule has ended")] = 1e-5
    decay_train_steps: Annotated[Count, doc("updates over which the schedule runs")] = 100_000


class Adam(
    ScheduledRate, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="adam"
):
    """Kingma and Ba 2015."""

    beta_1: Annotated[DecayRate, doc("decay of the first moment")] = 0.9
    beta_2: Annotated[DecayRate, doc("decay of the second moment")] = 0.999
    epsilon: Annotated[Positive, doc("added to the denominator")] = 1e-8


class RMSprop(
    ScheduledRate, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="rmsprop"
):
    """Centred RMSprop with the settings of Mnih et al. 2015, Extended Data Table 1."""

    decay: Annotated[DecayRate, doc("decay of both moments")] = 0.95
    momentum: Annotated[DecayRate, doc("of the update itself")] = 0.0
    epsilon: Annotated[Positive, doc("added to the squared gradient")] = 0.01
    centered: Annotated[bool, doc("subtract the squared mean gradient")] = True


class SGD(ScheduledRate, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="sgd"):
    """Stochastic gradient descent."""

    learning_rate: Annotated[Positive, doc("step size at the start")] = 0.01
    momentum: Annotated[DecayRate, doc("0: plain")] = 0.0


class EpsilonGreedy(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="epsilon_greedy"
):
    """A uniformly random legal action with probability epsilon, else the greedy one."""

    start: Annotated[Fraction, doc("epsilon at the first step")] = 1.0
    end: Annotated[Fraction, doc("epsilon when the decay has ended")] = 0.05
    decay: Annotated[Literal["linear", "exponential"], doc("shape of the decay")] = "linear"
    decay_env_steps: Annotated[Count, doc("environment steps over which it decays")] = 250_000
    ladder_alpha: Annotated[
        NonNegative, doc("environment i of N acts with epsilon^(1 + alpha i / (N - 1)); 0: all alike")
    ] = 0.0


class Boltzmann(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="boltzmann"
):
    """An action drawn from softmax(Q / temperature) over the legal ones."""

    start: Annotated[Positive, doc("temperature at the first step")] = 1.0
    end: Annotated[Positive, doc("temperature when the decay has ended")] = 0.05
    decay: Annotated[Literal["linear", "exponential"], doc("shape of the decay")] = "linear"
    decay_env_steps: Annotated[Count, doc("environment steps over which it decays")] = 250_000


class Acting(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who gathers experience."""

    actors: Annotated[
        int,
        Meta(ge=1, le=1024),
        doc("actors, each with task.num_envs environments and its part of the ladder"),
    ] = 1


class Replay(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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
    capacity: Annotated[Count, doc("transitions kept, over all shards; the oldest go first")] = 10_000
    min_size: Annotated[Count, doc("transitions stored before learning starts")] = 10_000


class Learner(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How updates are made."""

    strategy: Annotated[
        Literal["local", "mirrored", "multi_worker", "parameter_server", "averaging"],
        doc("how updates are divided among devices and processes: docs/parallelism.md"),
    ] = "local"
    logical_devices: Annotated[
        int, Meta(ge=0, le=256), doc("split the CPU into so many devices; 0: every GPU, or the CPU undivided")
    ] = 0
    model_parallel: Annotated[
        int, Meta(ge=1, le=64), doc("devices over which the layers of one network are split")
    ] = 1
    workers: Annotated[
        int, Meta(ge=1, le=1024), doc("learning processes started on this host, where TF_CONFIG names none")
    ] = 2
    parameter_servers: Annotated[
        int, Meta(ge=1, le=256), doc("processes that share the weights, for parameter_server")
    ] = 1
    updates_per_read: Annotated[
        int,
        Meta(ge=1, le=1000),
        doc("gradients a worker takes from one reading of the weights, for parameter_server"),
    ] = 5
    max_staleness_train_steps: Annotated[
        CountOrZero, doc("gradients older than this are dropped, for parameter_server; 0: none are")
    ] = 0
    all_reduce: Annotated[
        Literal["auto", "nccl", "ring", "hierarchical_copy", "one_device"],
        doc("how replicas sum gradients: mirrored knows all but ring, multi_worker auto, nccl and ring"),
    ] = "auto"
    averaging_period_train_steps: Annotated[
        Count, doc("H: updates that each unit makes by itself between two averagings")
    ] = 10
    average_optimizer: Annotated[
        bool, doc("average the optimiser's moments, too; else each unit keeps its own")
    ] = True
    batch_size: Annotated[int, Meta(ge=1, le=2**20), doc("transitions per update, over all replicas")] = 128
    env_steps_per_update: Annotated[
        Positive, doc("the replay ratio: transitions acted per update (0.5: two updates a transition)")
    ] = 10.0
    updates_per_call: Annotated[int, Meta(ge=1, le=10_000), doc("updates in one call into TensorFlow")] = 50
    schedule: Annotated[
        Literal["overlap", "alternate"],
        doc("overlap: act and learn in two threads; alternate: in turn, reproducibly"),
    ] = "overlap"
    xla: Annotated[
        Literal["auto", "on", "off"],
        doc("compile updates with XLA; auto: not convolutions and ensembles on CPU"),
    ] = "auto"
    prefetch_to_device: Annotated[
        bool,
        doc("copy the next call's batches to each device while it computes, for local and mirrored on GPUs"),
    ] = False
    precision: Annotated[
        Literal["float32", "mixed_bfloat16"],
        doc(
            "mixed_bfloat16: layers compute in bfloat16, for devices that are fast at it; weights stay float32"
        ),
    ] = "float32"
    threads: Annotated[
        int, Meta(ge=0, le=1024), doc("cores for one operation; 0: one, or all for convolutions")
    ] = 0


class Stop(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When training ends: whichever comes first."""

    env_steps: Annotated[Count, doc("after this many environment steps")] = 500_000
    return_at_least: Annotated[
        float | None, doc("when a confirmed evaluation's mean return is this high; omit: never")
    ] = None
    patience_evaluations: Annotated[
        CountOrZero, doc("after this many evaluations without a new best; 0: never")
    ] = 0


class Evaluation(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Greedy episodes on environments of their own; the best policy is kept."""

    interval_env_steps: Annotated[Count, doc("environment steps between evaluations")] = 10_000
    episodes: Annotated[int, Meta(ge=1, le=100_000), doc("episodes of each evaluation")] = 20
    confirm_episodes: Annotated[
        int, Meta(ge=0, le=100_000), doc("further episodes that must bear out a new best; 0: none")
    ] = 80
    max_episode_steps: Annotated[Count, doc("cut here the episodes of a task without a limit of its own")] = (
        10_000
    )
    final_episodes: Annotated[int, Meta(ge=1, le=100_000), doc("fresh episodes at the end, best policy")] = (
        100
    )


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a run can be resumed from."""

    interval_seconds: Annotated[Positive, doc("between checkpoints")] = 30.0
    keep: Annotated[int, Meta(ge=1, le=1000), doc("newest checkpoints kept")] = 2


class Logging(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What can be watched."""

    interval_seconds: Annotated[Positive, doc("between points of the curves")] = 1.0
    tensorboard: Annotated[bool, doc("write TensorBoard event files")] = True


class Health(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a job of several processes knows that one is lost, and for how long it waits for it."""

    beat_seconds: Annotated[float, Meta(ge=0.05, le=60), doc("between two heartbeats of a process")] = 1.0
    dead_after_seconds: Annotated[
        float, Meta(ge=0.5, le=3600), doc("of silence, after which a process counts as dead")
    ] = 8.0
    patience_seconds: Annotated[
        Positive, doc("that a process waits for another to come, or to come back, before it gives up")
    ] = 300.0


class Ensemble(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """K Q-functions, each with its own weights and its own part of the data; whoever acts aggregates them."""

    size: Annotated[int, Meta(ge=1, le=256), doc("K; 1: no ensemble")] = 1
    aggregation: Annotated[
        Literal["mean", "majority", "minimum"],
        doc("of the K Q-values, or of the K greedy actions (majority)"),
    ] = "mean"
    data: Annotated[
        Literal["all", "bootstrap", "hash", "partition"],
        doc("what a unit learns from: everything, a random part, or the states that are its own"),
    ] = "bootstrap"
    mask_probability: Annotated[
        PositiveFraction, doc("chance of a transition to be in a unit's bootstrap")
    ] = 0.5
    hash_cell_size: Annotated[
        NonNegative, doc("edge of the cells of states that hash to one unit; 0: every state by itself")
    ] = 0.0
    partition_key: Annotated[
        str, doc("the observation's array that partitions the states; empty: its only one")
    ] = ""
    partition_index: Annotated[
        CountOrZero, doc("the array's element, counted flat, that partitions them")
    ] = 0
    partition_edges: Annotated[
        tuple[float, ...], doc("size - 1 rising values of that element: unit k has the states below edge k")
    ] = ()
    target: Annotated[
        Literal["own", "aggregate"],
        doc("whose value of the next state a unit learns from: its own, or all units'"),
    ] = "own"
    execution: Annotated[
        Literal["batched", "processes"],
        doc("batched: all units in one network; processes: each a process with its own replay"),
    ] = "batched"

    @property
    def in_processes(self) -> bool:
        """Whether each unit learns in a process of its own."""
        return self.size > 1 and self.execution == "processes"


Network = MLP | NatureCNN | Linear
Optimizer = Adam | RMSprop | SGD
Exploration = EpsilonGreedy | Boltzmann


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run, whole. `tfdqn config FILE` prints it with a comment per key."""

    seed: Annotated[int, Meta(ge=0, le=2**31 - 1), doc("of every random stream of the run")] = 1
    task: Task = field(default_factory=Task)
    network: Network = field(default_factory=MLP)
    agent: Agent = field(default_factory=Agent)
    ensemble: Ensemble = field(default_factory=Ensemble)
    optimizer: Optimizer = field(default_factory=Adam)
    exploration: Exploration = field(default_factory=EpsilonGreedy)
    acting: Acting = field(default_factory=Acting)
    replay: Replay = field(default_factory=Replay)
    learner: Learner = field(default_factory=Learner)
    stop: Stop = field(default_factory=Stop)
    evaluation: Evaluation = field(default_factory=Evaluation)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    logging: Logging = field(default_factory=Logging)
    health: Health = field(default_factory=Health)
