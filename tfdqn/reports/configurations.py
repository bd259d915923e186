"""Groups runs by their configurations, and labels the groups by the keys in which they differ."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tfdqn.config import Config, toml
from tfdqn.errors import UserError, listed

_KEYS_IN_LABEL = 3
_ORDER = {section: rank for rank, section in enumerate(Config.__struct_fields__)}
_CHANGE_NO_RESULT = ("tracking.", "checkpoint.", "logging.", "health.", "export.")

Configuration = Mapping[str, Any]  # the values of the keys by which runs are compared, by path such as "task.id"


class ComparedRun(Protocol):
    """A run that is compared with others."""

    @property
    def path(self) -> Path: ...
    @property
    def configuration(self) -> Configuration: ...


Run = TypeVar("Run", bound=ComparedRun)


def compared(config: Config | Mapping[str, Any]) -> Configuration:
    """The keys by which runs are compared: all except the seed and the sections that change no result.

    A key without a value is left out: some kinds don't have it, and files don't list it.
    """
    return {
        key: value
        for key, value in toml.flat(config).items()
        if value is not None and key != "seed" and not key.startswith(_CHANGE_NO_RESULT)
    }


def grouped(runs: Iterable[Run]) -> list[list[Run]]:
    """The runs of each configuration, in the order in which it is first seen."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(run.configuration, sort_keys=True), []).append(run)
    return list(groups.values())


def require_one_task(runs: Iterable[ComparedRun]) -> str:
    """The id of the runs' task. Raises UserError if there are several tasks, whose returns can't be compared."""
    tasks = {str(run.configuration["task.id"]): run.path for run in runs}
    if len(tasks) > 1:
        which = listed([f"{task} ({path})" for task, path in tasks.items()])
        raise UserError(
            f"the runs are of different tasks, whose returns can't be compared; give runs of only one of these: {which}"
        )
    return next(iter(tasks))


def differing_keys(configurations: Sequence[Configuration]) -> list[str]:
    """The keys that some configurations lack, or that have different values in them.

    They are in the order of sections of a configuration file, which begins with the task and the algorithm, and ends
    with when to stop and how to evaluate.
    """
    every = {key: None for each in configurations for key in each}
    differing = [key for key in every if len({_shown(each, key) for each in configurations}) > 1]
    return sorted(differing, key=lambda key: _ORDER.get(key.partition(".")[0], len(_ORDER)))


def key_differences(ours: Configuration, theirs: Configuration) -> dict[str, tuple[str, str]]:
    """Both values, in words, of each of the `differing_keys` of two configurations; "none" where one lacks the key."""
    return {key: (_short(ours, key), _short(theirs, key)) for key in differing_keys([ours, theirs])}


def agent_of(configuration: Configuration) -> str:
    """The kind of agent in words, such as "double dqn"; a kind of the user's own as the configuration names it."""
    kind = str(configuration["agent.kind"])
    return kind if ":" in kind else kind.replace("_", " ")


def labels(configurations: Sequence[Configuration], names: Sequence[str]) -> list[str]:
    """A label for each configuration: its name, and if others have that too, the first keys that tell these apart."""
    pairs = list(zip(configurations, names, strict=True))
    alike = {name: [each for each, own in pairs if own == name] for name in names}
    keys = {name: differing_keys(those) for name, those in alike.items()}
    telling = {name: keys[name][: _telling(those, keys[name])] for name, those in alike.items()}
    found = []
    for each, name in pairs:
        differing, shown = keys[name], telling[name]
        parts = [f"{key}={_short(each, key)}" for key in shown]
        found.append(", ".join([name, *parts, *(["…"] if len(differing) > len(shown) else [])]))
    return found


def _telling(alike: Sequence[Configuration], keys: Sequence[str]) -> int:
    """How many of the keys, three or more if there are as many, it takes to tell the configurations apart."""
    count = min(_KEYS_IN_LABEL, len(keys))
    while count < len(keys) and len({tuple(_shown(each, key) for key in keys[:count]) for each in alike}) < len(alike):
        count += 1
    return count


def _short(configuration: Configuration, key: str) -> str:
    value = configuration.get(key, "none")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _shown(configuration: Configuration, key: str) -> str:
    return str(configuration.get(key, "none"))
