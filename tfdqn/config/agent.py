"""The sections `agent` and `ensemble`: the loss that is minimised, and the number of Q-functions that minimise it."""

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from tfdqn.config.fields import (
    FIXED_IN_BOTH,
    Count,
    CountOrZero,
    Fraction,
    NonNegative,
    Positive,
    PositiveFraction,
    Section,
    doc,
    needs,
    needs_above,
    needs_agent,
    needs_given,
)
from tfdqn.errors import OwnCodeError

_REACH = needs_agent("has_replay", "agent.lambda_ says how far returns reach")
_SCHEDULE = needs_agent("has_replay", "its discount is constant")
_TARGET_NETWORK = needs_agent("has_target_network", "it has no target network")
_MUNCHAUSEN = needs("agent.target", "munchausen")
_SEVERAL = needs_above(1, "ensemble.size")
_PARTITION = needs("ensemble.data", "partition")


class Agent(Section, frozen=True, kw_only=True):
    """The keys of every kind of agent. A subclass with a tag is a kind of its own, wherever it is defined."""

    # Whether the target is the value of one greedy action: only then can an ensemble's members share it.
    has_greedy_target: ClassVar[bool] = False
    has_target_network: ClassVar[bool] = True
    takes_branches: ClassVar[bool] = False  # whether it can learn Q-values for each of several action dimensions
    has_replay: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ()  # the names of the loss's own metrics, as in `LossOutput`
    title: ClassVar[str] = ""  # its name in messages; "": its kind

    n_step: Annotated[int, _REACH, FIXED_IN_BOTH, doc("rewards summed before bootstrapping", ge=1, le=1000)] = 1
    discount: Annotated[Fraction, FIXED_IN_BOTH, doc("gamma, per environment step")] = 0.99
    n_step_end: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None,
        _REACH,
        FIXED_IN_BOTH,
        doc("n_step at the end of its geometric schedule; omit: constant"),
    ] = None
    discount_end: Annotated[
        Annotated[float, Meta(ge=0, lt=1)] | None,
        _SCHEDULE,
        FIXED_IN_BOTH,
        doc("discount at the end of its schedule, geometric in 1 - discount; omit: constant"),
    ] = None
    horizon_env_steps: Annotated[
        Count,
        _SCHEDULE,
        needs_given("agent.n_step_end", "agent.discount_end"),
        FIXED_IN_BOTH,
        doc("environment steps over which n_step and discount follow their schedules"),
    ] = 100_000
    reward_scale: Annotated[Positive, doc("factor that multiplies rewards, in the loss only")] = 1.0
    target_update_period_train_steps: Annotated[
        Count, _TARGET_NETWORK, doc("train steps between updates of the target network")
    ] = 50
    target_update_tau: Annotated[
        PositiveFraction, _TARGET_NETWORK, doc("1: copy the weights; below 1: Polyak averaging")
    ] = 1.0
    gradient_clip_norm: Annotated[NonNegative, doc("largest global norm of the combined gradient; 0: no clipping")] = (
        0.0
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        names = cls.metrics
        said = f"the class {cls.__name__} of {cls.__module__} sets metrics = {names!r}; expected"
        if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
            raise OwnCodeError(f'{said} names: ("entropy",)')
        if not all(re.fullmatch(r"[\w-]+", name) for name in names):
            raise OwnCodeError(f'{said} names of letters, digits, "_" and "-": ("entropy",)')
        if len({*names}) < len(names):
            raise OwnCodeError(f"{said} each name once")


class TDAgent(Agent, frozen=True, kw_only=True):
    """The keys of agents whose loss is a function of the TD error of a scalar Q(s, a)."""

    loss: Annotated[Literal["squared", "huber"], doc("loss of the TD error: squared (delta^2 / 2) or huber")] = (
        "squared"
    )
    huber_delta: Annotated[
        Positive, needs("agent.loss", "huber"), doc("|TD error| beyond which the Huber loss is linear")
    ] = 1.0
    value_rescaling: Annotated[
        float,
        needs_agent("has_replay", "its returns are sums of rewards as they are"),
        doc("epsilon of h(x) = sign(x) (sqrt(|x| + 1) - 1) + epsilon x, the scale of Q; 0: none", ge=0, le=1),
    ] = 0.0


class DQN(TDAgent, frozen=True, kw_only=True, tag_field="kind", tag="dqn"):
    """Mnih et al. 2015: the next state's value is the target network's highest Q-value."""

    takes_branches = True
    has_greedy_target = True
    title = "DQN"


class DoubleDQN(TDAgent, frozen=True, kw_only=True, tag_field="kind", tag="double_dqn"):
    """Van Hasselt et al. 2016: the online network selects the next action, the target network evaluates it."""

    takes_branches = True
    has_greedy_target = True
    title = "double DQN"


LogPolicyScale = Annotated[Fraction, doc("alpha: weight of the bonus temperature * log policy; 0: no bonus")]
Temperature = Annotated[Positive, doc("tau of the soft policy softmax(Q / tau), in units of Q")]
LogPolicyFloor = Annotated[float, doc("l0: lower bound of temperature * log policy", ge=-1e12, le=0)]


class Munchausen(TDAgent, frozen=True, kw_only=True, tag_field="kind", tag="munchausen"):
    """Vieillard, Pietquin and Geist 2020: DQN with a soft policy, whose log-probabilities are added to the rewards."""

    title = "Munchausen DQN"
    metrics = ("log_policy_bonus",)

    # The authors' values in all experiments: appendix B.1.
    log_policy_scale: LogPolicyScale = 0.9
    temperature: Temperature = 0.03
    log_policy_floor: LogPolicyFloor = -1.0


class C51(Agent, frozen=True, kw_only=True, tag_field="kind", tag="c51"):
    """Bellemare et al. 2017: a distribution of the return over fixed atoms. The defaults are those of section 5."""

    title = "C51"
    metrics = ("target_entropy",)

    v_min: Annotated[float, doc("lowest atom, in units of Q", ge=-1e12, le=1e12)] = -10.0
    v_max: Annotated[float, doc("highest atom, in units of Q", ge=-1e12, le=1e12)] = 10.0
    atoms: Annotated[int, doc("number of atoms, evenly spaced", ge=2, le=1001)] = 51
    target: Annotated[
        Literal["max", "double"],
        doc("next action: max (greedy in the target network) or double (greedy in the online network)"),
    ] = "max"


class QuantileAgent(Agent, frozen=True, kw_only=True):
    """The keys of agents that learn quantiles of the return."""

    huber_kappa: Annotated[
        NonNegative, doc("kappa: |pairwise TD error| beyond which the loss is linear; 0: linear throughout")
    ] = 1.0
    target: Annotated[
        Literal["max", "double", "munchausen"],
        doc(
            "next action: max (greedy in the target network), double (greedy in the online network), munchausen (soft "
            "policy)"
        ),
    ] = "max"
    log_policy_scale: Annotated[LogPolicyScale, _MUNCHAUSEN] = 0.9
    temperature: Annotated[Temperature, _MUNCHAUSEN] = 0.03
    log_policy_floor: Annotated[LogPolicyFloor, _MUNCHAUSEN] = -1.0


class QRDQN(QuantileAgent, frozen=True, kw_only=True, tag_field="kind", tag="qr_dqn"):
    """Dabney et al. 2018a: N quantiles of the return at fixed fractions. The defaults are the authors' for Atari."""

    title = "QR-DQN"

    quantiles: Annotated[int, doc("N: quantiles learned for each action", ge=2, le=1000)] = 200


class IQN(QuantileAgent, frozen=True, kw_only=True, tag_field="kind", tag="iqn"):
    """Dabney et al. 2018b: the return's quantile function, learned at random fractions, with the authors' defaults."""

    title = "IQN"

    quantiles: Annotated[
        int, doc("N: fractions drawn per example, at which the quantile function is learned", ge=1, le=1000)
    ] = 64
    target_quantiles: Annotated[int, doc("N': fractions drawn per example for the target", ge=1, le=1000)] = 64
    acting_quantiles: Annotated[
        int, doc("K: for acting, Q is the mean quantile at the midpoints of K equal parts of [0, 1]", ge=1, le=1000)
    ] = 32
    embedding: Annotated[int, doc("n: number of cosines in the embedding of a fraction", ge=1, le=1024)] = 64


class PQN(TDAgent, frozen=True, kw_only=True, tag_field="kind", tag="pqn"):
    """Gallici et al. 2024: Q(lambda) on rollouts of many environments, without replay and without a target network."""

    takes_branches = True
    has_target_network = False
    has_replay = False
    title = "PQN"

    # The authors' values for Atari: purejaxql's config/alg/pqn_atari.yaml.
    rollout_steps: Annotated[
        int, doc("T: steps of each environment in a rollout, which is learned from and then discarded", ge=1, le=65536)
    ] = 32
    epochs: Annotated[int, doc("passes over each rollout, reshuffled for each pass", ge=1, le=1000)] = 2
    lambda_: Annotated[
        Fraction, doc("lambda of the lambda-returns; 0: one-step returns; 1: all rewards to the end of the rollout")
    ] = 0.65


class Ensemble(Section, frozen=True, kw_only=True):
    """K Q-functions, each with its own weights and its own part of the data; evaluated and served as one."""

    size: Annotated[int, doc("K, the number of members; 1: no ensemble", ge=1, le=256)] = 1
    aggregation: Annotated[
        Literal["mean", "majority", "minimum"],
        _SEVERAL,
        doc("mean or minimum of the K Q-values, or majority of the K greedy actions"),
    ] = "mean"
    data: Annotated[
        Literal["all", "bootstrap", "hash", "partition"],
        _SEVERAL,
        doc("what each member learns from: all transitions, a random bootstrap, or its own states (hash, partition)"),
    ] = "bootstrap"
    mask_probability: Annotated[
        PositiveFraction,
        _SEVERAL,
        needs("ensemble.data", "bootstrap"),
        doc("probability that a transition is in a member's bootstrap"),
    ] = 0.5
    hash_cell_size: Annotated[
        NonNegative,
        _SEVERAL,
        needs("ensemble.data", "hash"),
        doc("edge length of the cells whose states hash to the same member; 0: each state is a cell"),
    ] = 0.0
    partition_key: Annotated[
        str, _SEVERAL, _PARTITION, doc("the observation's array by which states are partitioned; empty: the only one")
    ] = ""
    partition_index: Annotated[
        CountOrZero, _SEVERAL, _PARTITION, doc("index of the element of that array, flattened, that decides")
    ] = 0
    partition_edges: Annotated[
        tuple[float, ...],
        _SEVERAL,
        _PARTITION,
        doc("size - 1 increasing values of that element: member k learns from states between edges k - 1 and k"),
    ] = ()
    acting: Annotated[
        Literal["aggregate", "member"],
        _SEVERAL,
        doc("what acts during training: the members' aggregate, or one member, drawn anew for each episode"),
    ] = "aggregate"
    target: Annotated[
        Literal["own", "aggregate"],
        _SEVERAL,
        doc("value of the next state in a member's target: its own, or the members' aggregate"),
    ] = "own"
    execution: Annotated[
        Literal["batched", "processes"],
        _SEVERAL,
        doc("batched: all members in one network; processes: each in its own process, with its own replay"),
    ] = "batched"

    @property
    def in_processes(self) -> bool:
        """Whether each member learns in a process of its own."""
        return self.size > 1 and self.execution == "processes"
