"""The section `optimizer`: one struct per kind, on top of the learning rate that all kinds have."""

from typing import Annotated, Literal

from tfdqn.config.fields import Count, DecayRate, Positive, Section, doc, needs

_DECAY = needs("optimizer.schedule", "linear", "exponential")


class ScheduledRate(Section, frozen=True, kw_only=True):
    """The learning rate and its schedule, which every optimizer has."""

    learning_rate: Annotated[Positive, doc("initial learning rate")] = 2.5e-4
    schedule: Annotated[Literal["constant", "linear", "exponential"], doc("schedule of the learning rate")] = "constant"
    end_learning_rate: Annotated[Positive, _DECAY, doc("learning rate at the end of the schedule")] = 1e-5
    decay_train_steps: Annotated[Count, _DECAY, doc("train steps over which the schedule runs")] = 100_000


class Adam(ScheduledRate, frozen=True, kw_only=True, tag_field="kind", tag="adam"):
    """Kingma and Ba 2015."""

    beta_1: Annotated[DecayRate, doc("decay rate of the first moment")] = 0.9
    beta_2: Annotated[DecayRate, doc("decay rate of the second moment")] = 0.999
    epsilon: Annotated[Positive, doc("added to the denominator")] = 1e-8


class RAdam(ScheduledRate, frozen=True, kw_only=True, tag_field="kind", tag="radam"):
    """Liu et al. 2020, 'On the variance of the adaptive learning rate and beyond': Adam with a warm-up of its own."""

    beta_1: Annotated[DecayRate, doc("decay rate of the first moment")] = 0.9
    beta_2: Annotated[DecayRate, doc("decay rate of the second moment")] = 0.999
    epsilon: Annotated[Positive, doc("added to the denominator")] = 1e-8


class RMSprop(ScheduledRate, frozen=True, kw_only=True, tag_field="kind", tag="rmsprop"):
    """Centred RMSprop with the settings of Mnih et al. 2015, Extended Data Table 1, adapted to a batch's mean loss."""

    decay: Annotated[DecayRate, doc("decay rate of both moments")] = 0.95
    momentum: Annotated[DecayRate, doc("momentum of the updates; 0: none")] = 0.0
    # The paper's is 0.01, for a gradient that is the sum over a batch of 32.
    epsilon: Annotated[Positive, doc("added to the mean of the squared gradient")] = 0.01 / 32**2
    centered: Annotated[bool, doc("subtract the square of the mean gradient")] = True


class SGD(ScheduledRate, frozen=True, kw_only=True, tag_field="kind", tag="sgd"):
    """Stochastic gradient descent."""

    learning_rate: Annotated[Positive, doc("initial learning rate")] = 0.01
    momentum: Annotated[DecayRate, doc("momentum of the updates; 0: none")] = 0.0


Optimizer = Adam | RAdam | RMSprop | SGD
