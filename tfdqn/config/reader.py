"""`read`: turns a nested mapping into a `Config`, checking each key; every error is one line.

The types of `Config` are the rules. We walk them ourselves, instead of having msgspec do it, so that a message can name
the key, its value and what is allowed, and suggest what was meant.
"""

import datetime
import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Literal, NoReturn, get_args, get_origin

import msgspec
from msgspec import Struct, inspect

from tfdqn.config.checks import contradiction, unused_keys, without
from tfdqn.config.fields import kinds
from tfdqn.config.foreign_names import meant_by
from tfdqn.config.own_code import is_own
from tfdqn.config.own_settings import mistaken_tag, without_annotation
from tfdqn.config.schema import Config
from tfdqn.config.user_modules import import_user_module
from tfdqn.config.wording import described, did_you_mean, keys_in, shown
from tfdqn.errors import ConfigError


def read(
    values: Mapping[str, Any],
    origin: str,
    overridden: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda line: None,
    unused: MutableMapping[str, str] | None = None,
) -> Config:
    """Reads and checks a configuration.

    If a kind is overridden, the keys of `origin` that the new kind doesn't have are left out, and `say` is told; so are
    keys that an override of another key leaves without effect.

    Args:
      values: the configuration, with its overrides applied.
      origin: where it comes from, such as a file's path; error messages begin with it.
      overridden: the keys that were overridden, each with what the user gave it by, such as "override" or "--set", with
        which error messages about it begin.
      say: prints one line.
      unused: receives, by key, a line about each other key that nothing reads; these keys get their defaults. None:
        they are refused.

    Raises ConfigError, in one line.
    """
    reader = _Reader(origin, overridden or {}, say)
    config: Config = reader.without_unused_keys(reader.section(Config, values, ""), unused)
    if problem := contradiction(config):
        reader.fail_together(problem, values)
    return config


def read_alone(values: Mapping[str, Any], origin: str) -> Config:
    """Reads a few keys as `read` does, without checking them against others."""
    config: Config = _Reader(origin, {}, lambda line: None).section(Config, values, "")
    return config


def built_in(by_kind: Mapping[str, type[Struct]]) -> list[str]:
    """The package's own kinds, without those of modules that happen to be imported."""
    return [kind for kind, struct in by_kind.items() if not is_own(struct)]


def literals(key_type: Any) -> tuple[str, ...]:
    """The values of `Annotated[Literal[...], ...]`, in order; empty for any other type."""
    allowed = get_args(key_type)[0]
    return get_args(allowed) if get_origin(allowed) is Literal else ()


class _Reader:
    def __init__(self, origin: str, overridden: Mapping[str, str], say: Callable[[str], None]):
        self._origin = origin
        self._overridden = overridden
        self._say = say

    def fail(self, path: str, problem: str) -> NoReturn:
        raise ConfigError(self._line(path, problem))

    def fail_together(self, problem: str, values: Mapping[str, Any]) -> NoReturn:
        """Raises ConfigError for keys that contradict each other; the line begins with what gave them.

        Keys at their defaults are neither overridden nor in `values`.
        """
        named = keys_in(problem)
        overridden = [key for key in named if self._is_overridden(key)]
        if not overridden:
            self.fail("", problem)
        is_in_file = any(_has(values, key) for key in named if key not in overridden)
        givers = " and ".join(dict.fromkeys(map(self._given_by, overridden)))
        also = f" ({' and '.join(overridden)}) and {self._origin}" if is_in_file else ""
        raise ConfigError(_as_line(f"{givers}{also}: {problem}"))

    def _line(self, path: str, problem: str) -> str:
        return _as_line(f"{self._given_by(path) or self._origin}: {problem}")

    def _given_by(self, path: str) -> str:
        """What overrides the key at `path`, or a key that contains it or is contained in it; "": nothing does."""
        whole = f"{path}."
        found = (key for key in self._overridden if f"{key}.".startswith(whole) or whole.startswith(f"{key}."))
        return next((self._overridden[key] for key in found), "")

    def _is_overridden(self, path: str) -> bool:
        return self._given_by(path) != ""

    def without_unused_keys(self, config: Config, unused: MutableMapping[str, str] | None) -> Config:
        """`config`, with the defaults for keys that nothing reads."""
        for each in list(unused_keys(config)):
            if not self._is_overridden(each.path) and any(map(self._is_overridden, each.needs.keys)):
                self._say(f"{each.line}: left out of what {self._origin} says")
            elif unused is None:
                self.fail(each.path, each.line)
            else:
                unused[each.path] = self._line(each.path, each.line)
            config = without(config, each)
        return config

    def section(self, struct: type[Struct], values: Any, path: str, kind: str = "") -> Any:
        """Reads one section. `kind`: of a section with several, already resolved."""
        fields = {field.name: field for field in msgspec.structs.fields(struct)}
        checked: dict[str, Any] = {}
        for key, value in values.items():
            key_path = f"{path}.{key}" if path else str(key)
            if kind and key == "kind":
                continue
            if key not in fields:
                allowed = [*(["kind"] if kind else []), *fields]
                self._fail_unknown(key_path, key, value, allowed, without_annotation(struct, key))
            checked[key] = self._value(fields[key], value, key_path)
        return struct(**checked)

    def _value(self, field: msgspec.structs.FieldInfo, value: Any, path: str) -> Any:
        by_kind = kinds(field.type)
        if not by_kind:
            return self._leaf(field.type, value, path)
        if not isinstance(value, Mapping):
            self.fail(path, f"{path} = {shown(value)}: must be a table, [{path}]")
        if "" in by_kind:
            return self.section(by_kind[""], value, path)
        default = str(field.default_factory.__struct_config__.tag)
        kind = value.get("kind", default)
        self._import_kind(f"{path}.kind", kind)
        by_kind = kinds(field.type)
        if not isinstance(kind, str) or kind not in by_kind:
            if not isinstance(kind, str) or ":" not in kind:
                self._fail_literal(f"{path}.kind", kind, built_in(by_kind))
            # Its module has been imported by now.
            if tag := mistaken_tag(kind, by_kind):
                self.fail(f"{path}.kind", f"{path}.kind = {shown(kind)}: {tag}")
            untagged = f", or the tag of a class in {kind.rpartition(':')[0]}, which has none of this tag"
            self._fail_literal(f"{path}.kind", kind, by_kind, "" if did_you_mean(kind, by_kind) else untagged)
        others = self._keys_of_another_kind(path, kind, value, by_kind)
        if others:
            names = ", ".join(f"{path}.{key}" for key in others)
            self._say(f"{path}.kind = {shown(kind)} has no {names}: left out of what {self._origin} says")
        kept = {key: each for key, each in value.items() if key not in others}
        return self.section(by_kind[kind], kept, path, kind)

    def _import_kind(self, path: str, kind: Any) -> None:
        """Imports the user's module that defines a kind such as "my_package.my_module:name"."""
        module = kind.rpartition(":")[0] if isinstance(kind, str) else ""
        try:
            if module:
                import_user_module(module, f"{path} = {shown(kind)}", ConfigError)
        except ConfigError as error:
            self.fail(path, str(error))

    def _keys_of_another_kind(
        self, path: str, kind: str, values: Mapping[str, Any], by_kind: dict[str, type[Struct]]
    ) -> list[str]:
        """The keys to leave out because the kind was overridden. Other keys that the kind doesn't have are refused."""
        left_out = []
        for key, value in values.items():
            owners = [name for name, struct in by_kind.items() if key in struct.__struct_fields__]
            if owners and kind not in owners:
                own = f"{path}.{key}"
                if f"{path}.kind" in self._overridden and own not in self._overridden:
                    left_out.append(key)
                    continue
                if why := without_annotation(by_kind[kind], key):
                    self._fail_unknown(own, key, value, [], why)
                allowed = ", ".join(by_kind[kind].__struct_fields__)
                quoted = " or ".join(f'"{owner}"' for owner in owners)
                self.fail(
                    own,
                    f"{own} = {shown(value)} is a key of {path}.kind = {quoted}, and "
                    f'{path}.kind is "{kind}", whose keys are: {allowed}',
                )
        return left_out

    def _leaf(self, leaf_type: Any, value: Any, path: str) -> Any:
        allowed: Any = inspect.type_info(leaf_type)
        extra: dict[str, Any] = {}
        if isinstance(allowed, inspect.Metadata):
            allowed, extra = allowed.type, allowed.extra or {}
        if problem := _unwritable(value, path):
            self.fail(path, problem)
        if isinstance(allowed, inspect.LiteralType) and value is None and "none" in allowed.values:
            value = "none"  # `key=none` means null in an override, but this key has a choice of that name
        if isinstance(allowed, inspect.LiteralType) and value not in allowed.values:
            self._fail_literal(path, value, literals(leaf_type))
        try:
            return msgspec.convert(_as_toml(value), leaf_type)
        except msgspec.ValidationError:
            if "names" in extra:
                self._fail_literal(path, value, extra["names"], f', or one of your own, "{extra["example"]}"')
            self.fail(
                path, f"{path} = {shown(value)}: must be {described(allowed, value)}{_as_whole(leaf_type, value)}"
            )

    def _fail_literal(self, path: str, value: Any, allowed: Iterable[str], or_else: str = "") -> NoReturn:
        choices = ", ".join(f'"{each}"' for each in allowed)
        meant = did_you_mean(str(value), allowed)
        self.fail(path, f"{path} = {shown(value)}: must be one of {choices}{or_else}{meant}")

    def _fail_unknown(self, path: str, key: Any, value: Any, allowed: list[str], why: str = "") -> NoReturn:
        if why:
            self.fail(path, f"{path} is not a key: {why}")
        section = path.removesuffix(str(key)).rstrip(".")  # a key in quotes may hold dots
        meant = meant_by(str(key), value, section, allowed)
        where = f"the keys of [{section}] are" if section else "the keys and sections are"
        self.fail(path, f"{path} is not a key{meant}; {where}: {', '.join(allowed)}")


def _as_line(text: str) -> str:
    """`text` on one line: a key or a path may hold line breaks and control characters of its own."""
    line = " ".join(text.split())
    return "".join(each if each.isprintable() else "?" for each in line)


def _has(values: Mapping[str, Any], path: str) -> bool:
    """Whether a nested mapping has the key at a dotted path."""
    section, _, key = path.rpartition(".")
    table = values.get(section)
    return isinstance(table, Mapping) and key in table


def _unwritable(value: Any, name: str) -> str | None:
    """Says what in `value` no key may have: what TOML can't hold, isn't finite or isn't Unicode; None if nothing."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name} = {shown(value)}: must be a finite number"
    if isinstance(value, str) and not _is_unicode(value):
        return f"{name} = {shown(value)}: must be valid Unicode"
    nested: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        if strange := [key for key in value if not isinstance(key, str) or not _is_unicode(key)]:
            return f"{name} has the key {shown(strange[0])}: keys must be strings"
        nested = [(f"{name}.{key}", each) for key, each in value.items()]
    elif isinstance(value, list | tuple):
        nested = [(f"{name}[{index}]", each) for index, each in enumerate(value)]
    for nested_name, each in nested:
        if isinstance(each, datetime.date | datetime.time):
            return f'{nested_name} = {shown(each)}: a date or a time must be in quotes: "{shown(each)}"'
        if not isinstance(each, bool | int | float | str | list | tuple | Mapping):
            return f"{nested_name} = {shown(each)}: must be a string, a number, true, false, a list or a table"
        if problem := _unwritable(each, nested_name):
            return problem
    return None


def _as_toml(value: Any) -> Any:
    """`value` as a TOML file would give it back: tuples, which task.kwargs may hold in Python, become lists."""
    if isinstance(value, Mapping):
        return {key: _as_toml(each) for key, each in value.items()}
    return [_as_toml(each) for each in value] if isinstance(value, list | tuple) else value


def _is_unicode(text: str) -> bool:
    """False for text from a command line with bytes that aren't UTF-8, which Python decodes to surrogates."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def _as_whole(leaf_type: Any, value: Any) -> str:
    """ ": write 100_000" for 1e5, a float in TOML, where that whole number is allowed; else ""."""
    if not isinstance(value, float) or not value.is_integer():
        return ""
    try:
        return f": write {msgspec.convert(int(value), leaf_type):_}"
    except msgspec.ValidationError:
        return ""
