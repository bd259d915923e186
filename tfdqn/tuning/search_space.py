"""`SearchSpace`: the keys to search and their ranges, read from a TOML file and checked against the configuration.

"optimizer.learning_rate" = { low = 1e-5, high = 1e-2, log = true }
"agent.n_step" = { low = 1, high = 9, step = 2 }
"learner.batch_size" = { choices = [32, 64, 128] }
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from tfdqn.config import Config, toml
from tfdqn.config.checks import lacking_needs
from tfdqn.config.fields import kinds
from tfdqn.config.problems import Problems
from tfdqn.config.reader import read_alone
from tfdqn.config.wording import did_you_mean, shown
from tfdqn.errors import ConfigError

_WORDS = ("low", "high", "step", "log", "choices")
_EXAMPLE = '"optimizer.learning_rate" = { low = 1e-5, high = 1e-2, log = true }'
# Keys that can't be searched, or sections, and why.
_FIXED = {
    "seed": "every trial has the seed of the configuration",
    "task.id": "returns of different tasks can't be compared",
    "stop": "trials are compared after the same training",
    "evaluation": "trials are compared by the same evaluation",
    "tracking": "where a trial is shown changes nothing in it",
}


@dataclass(frozen=True)
class NumberRange:
    """From `low` to `high`, both included: every `step`-th integer if both are integers, else any number."""

    low: int | float
    high: int | float
    step: int = 1  # for integers only
    log: bool = False  # sampled uniformly in the logarithm


@dataclass(frozen=True)
class Choices:
    """One of these values, as the configuration holds them."""

    values: tuple[Any, ...]


Dimensions = Mapping[str, NumberRange | Choices]  # by key


@dataclass(frozen=True)
class SearchSpace:
    """The dimensions of a search by key, in the order of the file `origin`."""

    origin: str
    dimensions: Dimensions

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """A trial's values, by key, as overrides of the configuration.

        Keys that the trial's kinds don't have are left out, such as `optimizer.momentum` with Adam.
        """
        kept = {key: value for key, value in values.items() if _is_kind(key) or _may_be_set(key, values)}
        return [f"{key}={toml.written(value)}" for key, value in kept.items()]

    def first(self) -> dict[str, Any]:
        """The first value of each dimension."""
        dimensions = self.dimensions.items()
        return {key: each.values[0] if isinstance(each, Choices) else each.low for key, each in dimensions}

    def refuse_keys_without_effect(self, config: Config) -> None:
        """Raises ConfigError if nothing reads a key in any trial, because of keys of `config` that aren't searched."""
        problems = Problems()
        for key in self.dimensions:
            if _is_kind(key) or self._may_vary(key):
                continue  # other kinds may read other keys
            with problems.kept():
                for needs in lacking_needs(config, *key.split(".")[:2]):
                    if not any(each in self.dimensions or self._may_vary(each) for each in needs.keys):
                        why = needs.words if needs.is_of_the_agent else f"it needs {needs.words}"
                        raise ConfigError(f"{self.origin}: {key} has no effect in any trial: {why}")
        problems.require_none()

    def _may_vary(self, key: str) -> bool:
        """Whether the kind of the key's section is searched."""
        return f"{key.partition('.')[0]}.kind" in self.dimensions

    def to_builtins(self) -> dict[str, Any]:
        """The dimensions in types that JSON has; equal for equal spaces."""
        plain: dict[str, Any] = msgspec.to_builtins(self.dimensions)
        return plain


def load_space(path: Path | str, config: Config, overridden: Collection[str] = ()) -> SearchSpace:
    """The space in the TOML file at `path`, for trials of `config`, in which the command line has overridden keys.

    Raises ConfigError if the file can't be read, isn't TOML or is empty, and, in one line for each key, if it doesn't
    exist or can't be searched, or if its range or choices aren't within the key's own bounds.
    """
    reader = _SpaceReader(str(path), config)
    dimensions = reader.read(toml.values_in(path))
    for key in dimensions:
        for other in overridden:
            if key == other or other.startswith(f"{key}."):
                raise ConfigError(
                    f"{other} is given on the command line, and searched by {path}: leave out one of them"
                )
    return SearchSpace(str(path), dimensions)


def dimensions_of(plain: Mapping[str, Any]) -> dict[str, NumberRange | Choices]:
    """The dimensions of what `SearchSpace.to_builtins` gave."""
    return {
        key: Choices(tuple(each["values"])) if "values" in each else NumberRange(**each) for key, each in plain.items()
    }


def written_dimension(plain: Mapping[str, Any]) -> str:
    """One of the dimensions that `SearchSpace.to_builtins` gives, as a file of a space has it."""
    if "values" in plain:
        return toml.written({"choices": ["none" if each is None else each for each in plain["values"]]})
    defaults = {each.name: each.default for each in fields(NumberRange)}
    return toml.written({word: each for word, each in plain.items() if each != defaults[word]})


def is_space(path: Path | str) -> bool:
    """Whether the file at `path` looks like a space: a table of ranges and choices alone."""
    try:
        values = toml.values_in(path)
    except ConfigError:
        return False
    ranges = [each for _, each in _with_whole_keys(values)]
    return bool(ranges) and all(isinstance(each, Mapping) and any(word in each for word in _WORDS) for each in ranges)


class _SpaceReader:
    def __init__(self, origin: str, config: Config):
        self._origin = origin
        self._own_kinds = {name: getattr(getattr(config, name), "kind", "") for name in config.__struct_fields__}
        self._kinds: dict[str, Sequence[str]] = {}  # of the space, by section; none where they are wrong

    def read(self, values: Mapping[str, Any]) -> dict[str, NumberRange | Choices]:
        ranges = dict(_with_whole_keys(values))
        if not ranges:
            self._fail(f"is empty: it names the keys to search, such as {_EXAMPLE}")
        problems, read = Problems(), dict[str, NumberRange | Choices]()
        for key in sorted(ranges, key=lambda key: not _is_kind(key)):
            if self._kinds.get(key.partition(".")[0]) == ():
                continue  # which kind's keys these are isn't known
            if _is_kind(key):
                self._kinds[key.removesuffix(".kind")] = ()
            with problems.kept():
                read[key] = self._dimension(key, ranges[key])
        problems.require_none()
        return {key: read[key] for key in ranges}

    def _dimension(self, key: str, words: Any) -> NumberRange | Choices:
        for fixed, why in _FIXED.items():
            if key == fixed or key.startswith(f"{fixed}."):
                self._fail(f"{key} can't be searched: {why}")
        if key in self._own_kinds:
            self._fail(f"{key} is a section: give its keys, such as {_EXAMPLE}")
        if not isinstance(words, Mapping):
            self._fail(f"{key} = {shown(words)}: must be a table, {{ low = …, high = … }} or {{ choices = […] }}")
        for word in words:
            if word not in _WORDS:
                self._fail(f"{key} has {shown(word)}{did_you_mean(word, _WORDS)}: must be one of {', '.join(_WORDS)}")
        if "choices" in words:
            return self._choices(key, words)
        return self._range(key, words)

    def _choices(self, key: str, words: Mapping[str, Any]) -> Choices:
        choices = words["choices"]
        if len(words) > 1:
            self._fail(
                f"{key} has choices and {', '.join(each for each in words if each != 'choices')}: give one of them"
            )
        if not isinstance(choices, list) or len(choices) < 2:
            self._fail(f"{key}.choices = {shown(choices)}: must be a list of at least two values")
        values = tuple(self._checked(key, None if each == "none" else each) for each in choices)
        for index, each in enumerate(values):
            if each in values[:index]:
                self._fail(f"{key}.choices has {shown(choices[index])} twice")
        if _is_kind(key):
            self._kinds[key.removesuffix(".kind")] = values
        return Choices(values)

    def _range(self, key: str, words: Mapping[str, Any]) -> NumberRange:
        for word in ("low", "high"):
            if word not in words:
                self._fail(f"{key} has no {word}: give low and high, or choices")
        low, high = (self._checked(key, words[word]) for word in ("low", "high"))
        if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (low, high)):
            self._fail(f"{key} is no number: give choices, not low and high")
        if isinstance(low, float) or isinstance(high, float):
            low, high = (self._float(key, each) for each in (low, high))  # a key of task.kwargs has no type of its own
        if low >= high:
            self._fail(f"{key}: low = {shown(words['low'])} must be below high = {shown(words['high'])}")
        log, step = words.get("log", False), words.get("step")
        if not isinstance(log, bool):
            self._fail(f"{key}.log = {shown(log)}: must be true or false")
        if log and low <= 0:
            self._fail(f"{key}: low = {shown(words['low'])} must be above 0 with log = true")
        if step is None:
            return NumberRange(low, high, log=log)
        if log or isinstance(low, float):
            self._fail(f"{key}.step = {shown(step)}: is for whole numbers without log")
        if not isinstance(step, int) or isinstance(step, bool) or not 1 <= step <= high - low:
            self._fail(f"{key}.step = {shown(step)}: must be a whole number from 1 to {high - low}, high - low")
        return NumberRange(low, high - (high - low) % step, step)

    def _checked(self, key: str, value: Any) -> Any:
        """A value as the configuration holds it. Raises ConfigError if no possible kind's key can have it."""
        section, *path = key.split(".")
        own_kind = self._own_kinds.get(section, "")
        if not path or not own_kind or path == ["kind"]:
            return _value_at(read_alone(_nested(key, value), self._origin), key)
        possible = self._kinds.get(section, [own_kind])
        having = [kind for kind in possible if path[0] in _keys_of(section, kind)]
        kind, *_ = having or possible
        return _value_at(read_alone({section: {"kind": kind, **_nested(".".join(path), value)}}, self._origin), key)

    def _float(self, key: str, number: float) -> float:
        try:
            return float(number)
        except OverflowError:
            self._fail(f"{key}: {shown(number)} is too large")

    def _fail(self, problem: str) -> NoReturn:
        raise ConfigError(f"{self._origin}: {' '.join(problem.split())}")


def _with_whole_keys(values: Mapping[str, Any], section: str = "") -> Iterable[tuple[str, Any]]:
    """Yields each key with its value; keys in a [section], or in a table of it, get its name in front."""
    for name, value in values.items():
        is_table = isinstance(value, Mapping) and "." not in name and not _has_words(value)
        if is_table and (not section or any(isinstance(each, Mapping) for each in value.values())):
            yield from _with_whole_keys(value, f"{section}{name}.")
        else:
            yield f"{section}{name}", value


def _has_words(table: Mapping[str, Any]) -> bool:
    """Whether a table says which values are searched; a keyword argument of a task may be called `low`, too."""
    return any(not isinstance(table.get(word, {}), Mapping) for word in _WORDS)


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _value_at(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value


def _may_be_set(key: str, values: Mapping[str, Any]) -> bool:
    section, path = key.split(".")[:2]
    kind = values.get(f"{section}.kind")
    return kind is None or path in _keys_of(section, kind)


def _keys_of(section: str, kind: str) -> tuple[str, ...]:
    """The keys of a kind of a section."""
    fields = {field.name: field for field in msgspec.structs.fields(Config)}
    return kinds(fields[section].type)[kind].__struct_fields__


def _is_kind(key: str) -> bool:
    return key.count(".") == 1 and key.endswith(".kind")
