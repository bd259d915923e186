"""The sections `acting` and `exploration`: how experience is gathered; one struct per kind of exploration."""

from typing import Annotated, Any, Literal

from tfdqn.config.fields import Count, Fraction, Needs, NonNegative, Positive, Section, doc, needs, needs_above
from tfdqn.config.wording import either

_NOT_IN_NUMPY = ("nature_cnn", "impala")  # kinds of network by which TensorFlow acts faster


def _acts_by_tensorflow(config: Any) -> bool:
    """Whether Q-values for acting may be computed by TensorFlow; parts from modules of the user's own may need it."""
    kinds = (config.network.kind, config.agent.kind)
    return config.network.kind in _NOT_IN_NUMPY or any(":" in each for each in kinds)


_BY_TENSORFLOW = Needs(("network.kind",), _acts_by_tensorflow, f"network.kind = {either(_NOT_IN_NUMPY)}")


class Acting(Section, frozen=True, kw_only=True):
    """How experience is gathered."""

    actors: Annotated[int, doc("number of actors, each with task.num_envs environments", ge=1, le=1024)] = 1
    fetch_interval_seconds: Annotated[
        float,
        doc("seconds between an actor's requests for newer weights, if it has a process of its own", ge=0.001, le=3600),
    ] = 0.1
    inference: Annotated[
        Literal["local", "central"],
        doc("where actors in separate processes get Q-values; local: their copy of the network; central: the learner"),
    ] = "local"
    device: Annotated[
        Literal["auto", "cpu", "gpu"],
        _BY_TENSORFLOW,
        doc(
            "where the learner's process computes Q-values for acting and evaluation: cpu, gpu, or auto (the last GPU "
            "for central inference, else the CPU)"
        ),
    ] = "auto"
    most_envs_per_inference: Annotated[
        int,
        needs("acting.inference", "central"),
        doc("maximum number of environments in one central call of the Q-function", ge=1, le=2**20),
    ] = 1024


class EpsilonGreedy(Section, frozen=True, kw_only=True, tag_field="kind", tag="epsilon_greedy"):
    """A uniformly random legal action with probability epsilon, otherwise the greedy one."""

    start: Annotated[Fraction, doc("initial epsilon")] = 1.0
    end: Annotated[Fraction, doc("final epsilon")] = 0.05
    decay: Annotated[Literal["linear", "exponential"], doc("shape of the decay")] = "linear"
    decay_env_steps: Annotated[Count, doc("environment steps over which it decays")] = 250_000
    ladder_alpha: Annotated[
        NonNegative,
        needs_above(1, "task.num_envs", "acting.actors"),
        doc("environment i of N acts with epsilon^(1 + alpha i / (N - 1)); 0: the same for all"),
    ] = 0.0


class Boltzmann(Section, frozen=True, kw_only=True, tag_field="kind", tag="boltzmann"):
    """An action sampled from softmax(Q / temperature) over the legal actions."""

    start: Annotated[Positive, doc("initial temperature")] = 1.0
    end: Annotated[Positive, doc("final temperature")] = 0.05
    decay: Annotated[Literal["linear", "exponential"], doc("shape of the decay")] = "linear"
    decay_env_steps: Annotated[Count, doc("environment steps over which it decays")] = 250_000


Exploration = EpsilonGreedy | Boltzmann
