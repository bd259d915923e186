"""The sections of the configuration that say what is learned and how: task, network, objective, optimiser, exploring.

`config.py` puts them together with those of the run, and says how all are written.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from tfdqn.config.fields import (
    Count,
    CountOrZero,
    DecayRate,
    Fraction,
    NonNegative,
    Positive,
    PositiveFraction,
    doc,
)


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
    restarts: Annotated[
        CountOrZero,
        doc(
            "environments that fail are made anew, so often in each process; the next failure ends the process"
        ),
    ] = 0
    frame_stack: Annotated[int, Meta(ge=1, le=16), doc("consecutive observations stacked into one")] = 1
    action_masks: Annotated[bool, doc('legal actions come in info["action_mask"]')] = False
    action_names: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        doc("what the actions mean, for an export's model card; []: the task's own names, if it has any"),
    ] = ()


class MLP(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="mlp"):
    """Dense layers over the flattened observation."""

    hidden_units: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65536)], ...], doc("width of each hidden layer")
    ] = (120, 84)
    activation: Annotated[Literal["relu", "tanh", "elu"], doc("after each hidden layer")] = "relu"


class NatureCNN(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="nature_cnn"
):
    """Mnih et al. 2015, Methods, 'Model architecture': three convolutions and a dense layer; from 36 x 36 pixels on."""

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
    """Centred RMSprop with the settings of Mnih et al. 2015, Extended Data Table 1, for the mean over a batch."""

    decay: Annotated[DecayRate, doc("decay of both moments")] = 0.95
    momentum: Annotated[DecayRate, doc("of the update itself")] = 0.0
    # Theirs is 0.01, of a gradient that is the sum over a batch of 32.
    epsilon: Annotated[Positive, doc("added to the squared gradient of the batch's mean loss")] = 0.01 / 32**2
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


class Ensemble(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """K Q-functions, each with its own weights and its own part of the data; whoever acts aggregates them."""

    size: Annotated[int, Meta(ge=1, le=256), doc("K; 1: no ensemble")] = 1
    aggregation: Annotated[
        Literal["mean", "majority", "minimum"],
        doc("of the K Q-values, or of the K greedy actions (majority)"),
    ] = "mean"
    data: Annotated[
        Literal["all", "bootstrap", "hash", "partition"],
        doc("what a member learns from: everything, a random part, or the states that are its own"),
    ] = "bootstrap"
    mask_probability: Annotated[
        PositiveFraction, doc("chance of a transition to be in a member's bootstrap")
    ] = 0.5
    hash_cell_size: Annotated[
        NonNegative, doc("edge of the cells of states that hash to one member; 0: every state by itself")
    ] = 0.0
    partition_key: Annotated[
        str, doc("the observation's array that partitions the states; empty: its only one")
    ] = ""
    partition_index: Annotated[
        CountOrZero, doc("the array's element, counted flat, that partitions them")
    ] = 0
    partition_edges: Annotated[
        tuple[float, ...], doc("size - 1 rising values of that element: member k has the states below edge k")
    ] = ()
    target: Annotated[
        Literal["own", "aggregate"],
        doc("whose value of the next state a member learns from: its own, or all members'"),
    ] = "own"
    execution: Annotated[
        Literal["batched", "processes"],
        doc("batched: all members in one network; processes: each a process with its own replay"),
    ] = "batched"

    @property
    def in_processes(self) -> bool:
        """Whether each member learns in a process of its own."""
        return self.size > 1 and self.execution == "processes"
