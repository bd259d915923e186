"""Translates a search space, a trial's values and a pruner into Optuna's terms."""

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tfdqn.config import toml
from tfdqn.tuning.search_space import Choices, NumberRange

if TYPE_CHECKING:  # an extra
    import optuna

_REDUCTION_FACTOR = 3  # by which the number of trials falls from rung to rung


class Pruner(StrEnum):
    """How trials are ended early, judged by their evaluations."""

    none = "none"
    median = "median"
    asha = "asha"
    hyperband = "hyperband"


def suggest(trial: "optuna.trial.Trial", key: str, dimension: NumberRange | Choices) -> None:
    """Lets the study's sampler choose a key's value, which the storage records."""
    if isinstance(dimension, Choices):
        trial.suggest_categorical(key, [_label(each) for each in dimension.values])
    elif isinstance(dimension.low, float):
        trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log)
    else:
        trial.suggest_int(key, dimension.low, int(dimension.high), step=dimension.step, log=dimension.log)


def _label(choice: Any) -> Any:
    """A choice in a form that Optuna can store."""
    return choice if choice is None or isinstance(choice, bool | int | float | str) else toml.written(choice)


def value_of(dimension: NumberRange | Choices, stored: Any) -> Any:
    """A stored value, in the form that the configuration has."""
    if isinstance(dimension, Choices):
        return next(each for each in dimension.values if _label(each) == stored)
    return stored


def make_pruner(pruner: Pruner, least: int, most: int) -> "optuna.pruners.BasePruner":
    """A pruner that never ends a trial before its first `least` evaluations, of `most`."""
    from optuna import pruners

    match pruner:
        case Pruner.median:
            return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=least)
        case Pruner.asha:
            return pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=_REDUCTION_FACTOR)
        case Pruner.hyperband:
            return pruners.HyperbandPruner(min_resource=least, max_resource=most, reduction_factor=_REDUCTION_FACTOR)
        case Pruner.none:
            return pruners.NopPruner()
