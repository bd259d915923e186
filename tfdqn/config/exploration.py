"""The section `exploration`: one struct per kind."""

from typing import Annotated, Literal

from tfdqn.config.fields import Count, Fraction, NonNegative, Positive, Section, doc, needs_above


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
