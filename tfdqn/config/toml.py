"""Configuration files: reads TOML, with overrides from the command line; writes TOML, with a comment for each key."""

import copy
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import tomlkit
from msgspec import Struct
from tomlkit.items import Item

from tfdqn.config.fields import doc_of, kinds, needs_of
from tfdqn.config.nearby_runs import is_of_run, own_config_file
from tfdqn.config.network import may_convolve
from tfdqn.config.own_code import mistaken_keys
from tfdqn.config.problems import Problems
from tfdqn.config.reader import built_in, literals, read
from tfdqn.config.schema import Config, keys, require_sections, values_of
from tfdqn.config.toml_errors import trouble
from tfdqn.config.user_modules import import_replaced_kinds
from tfdqn.config.values import override_value
from tfdqn.config.wording import shown
from tfdqn.errors import ConfigError, as_path, of_type
from tfdqn.system.before_tensorflow import use_onednn

Lines = MutableMapping[str, str]  # a line about each key
# Line breaks in Unicode and YAML, though not in TOML: a manifest may hold a configuration, indented.
_ESCAPED = {ord(each): f"\\u{ord(each):04x}" for each in "\x85\u2028\u2029"}


def load(
    path: Path | str | None = None,
    overrides: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
    unused: Lines | None = None,
    options: Mapping[str, str] | None = None,
) -> Config:
    """The configuration in the TOML file at `path`, with overrides such as "agent.n_step=3" applied.

    Without a `path`, it is of defaults and overrides alone. A `Config` can also be made of its sections.

    If a kind is overridden, as in network.kind=mlp, the file's keys that the new kind doesn't have are left out, and
    `say` is told which; so are keys of the file that an override leaves without effect, and a file without keys.

    `unused` receives, by key, a line about each other key that nothing reads, and these keys get their defaults; if it
    is None, they are refused. `options` are those that gave keys of `overrides`, such as {"acting.actors": "--actors"}.

    Raises ConfigError if the file can't be read or isn't TOML, for unknown keys and bad values, in one line for each,
    and if keys contradict each other.
    """
    if path is None:
        return from_mapping({}, overrides, unused=unused, options=options)
    return from_mapping(values_in(path), overrides, str(path), say, unused, options=options)


def values_in(path: Path | str, is_complete: bool = False) -> dict[str, Any]:
    """The values in a TOML file, unchecked. Raises ConfigError if it can't be read, or isn't TOML.

    `is_complete` as of `content`.
    """
    return decoded(content(path, is_complete), str(path))


def content(path: Path | str, is_complete: bool = False) -> bytes:
    """The bytes of a configuration file. Raises ConfigError if it can't be read.

    A file that tfdqn has written, as into a run's directory, `is_complete`: without any key, it has been cut off.
    """
    try:
        path = as_path(path, "a TOML file", ConfigError)
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory, not a configuration file{own_config_file(Path(path))}") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    if not re.search(rb"(?m)^\s*[^\s#[]", text) and (is_complete or is_of_run(path)):
        raise ConfigError(f"{path}: is empty, and a run has every key in it: restore it from a backup")
    return text


def parse(
    text: bytes, overrides: Sequence[str] = (), origin: str = "configuration", unused: Lines | None = None
) -> Config:
    """Reads a configuration as `load` does, from a file's content; error messages begin with `origin`."""
    return from_mapping(decoded(text, origin), overrides, origin, unused=unused)


def decoded(text: bytes, origin: str) -> dict[str, Any]:
    """Decodes TOML without checking its keys. Raises ConfigError if it isn't TOML."""
    try:
        lines = text.decode("utf-8-sig")  # without the mark with which some editors begin a file
        document = tomllib.loads(f"{lines}\n")  # the parser gives no line number for an error at the very end
        str(document)
    except UnicodeDecodeError:
        raise ConfigError(f"{origin}: is not valid TOML: it is not UTF-8") from None
    except (ValueError, RecursionError) as error:  # also for numbers of too many digits, if hexadecimal only by `str`
        raise ConfigError(f"{origin}: {trouble(error, lines)}") from None
    return document


def from_mapping(
    values: Mapping[str, Any],
    overrides: Sequence[str] = (),
    origin: str = "configuration",
    say: Callable[[str], None] = lambda line: None,
    unused: Lines | None = None,
    option: str = "override",
    options: Mapping[str, str] | None = None,
) -> Config:
    """Reads a configuration as `load` does, from a nested mapping; error messages begin with `origin`.

    Those about an override begin with `option`, which is what the user gave it by, or its own one of `options`. For a
    network that may have convolutions, TensorFlow will compute by oneDNN if this process has not imported it yet.
    """
    _require_strings(overrides)
    if all(each == {} for each in values.values()):
        say(f"{origin} sets no key: the defaults are used")
    merged: dict[str, Any] = copy.deepcopy(dict(values))
    problems, overridden = Problems(), dict[str, str]()
    for override in overrides:
        with problems.kept():
            overridden[_apply(merged, override, option)] = option
    if may_convolve(merged.get("network")):
        use_onednn()  # now, since reading imports the user's modules, and they TensorFlow
    import_replaced_kinds(values, merged, overridden, say)
    return read(merged, origin, overridden | dict(options or {}), say, unused, problems)


def _require_strings(overrides: object) -> None:
    """Raises ConfigError unless these are overrides, a list of strings."""
    if isinstance(overrides, str):
        raise ConfigError(f"overrides must be a list of key=value strings, such as [{overrides!r}], not one string")
    wrong = [each for each in overrides if not isinstance(each, str)] if isinstance(overrides, list | tuple) else []
    if wrong or not isinstance(overrides, list | tuple):
        found = f"{wrong[0]!r} is {of_type(wrong[0])}" if wrong else f"the argument is {of_type(overrides)}"
        raise ConfigError(f'overrides must be a list of key=value strings, such as ["agent.n_step=3"]; {found}')


def require_once(overrides: Sequence[str]) -> None:
    """Raises ConfigError if overrides give a key two different values, or are no list of strings."""
    _require_strings(overrides)
    given: dict[str, str] = {}
    for override in overrides:
        key, _, text = override.partition("=")
        before = given.setdefault(key.strip(), override)
        values = [override_value(each.strip()) for each in (before.partition("=")[2], text)]
        if repr(values[0]) != repr(values[1]):  # NaN is not equal to itself
            raise ConfigError(f"{before} and {override} are both given: leave one of the two out")


def with_changed_task(config: Config, overrides: Sequence[str], origin: str, option: str = "override") -> Config:
    """`config` with overrides of keys of `[task]`, for an evaluation or a check.

    Raises ConfigError for other keys, and for a key that is given twice.
    """
    require_once(overrides)
    for override in overrides:
        if not override.startswith("task."):
            raise ConfigError(f"{option} {override}: only keys of [task] can be changed here")
    return from_mapping(msgspec.to_builtins(config), overrides, origin, option=option)


def checked(
    config: Config, overrides: Sequence[str] = (), unused: Lines | None = None, option: str = "override"
) -> Config:
    """Checks a configuration that was built in Python as `load` does; errors of overrides begin with `option`."""
    require_sections(config)
    try:
        values = values_of(config)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"configuration: {error}") from None
    return from_mapping(values, overrides, unused=unused, option=option)


def dump(config: Config) -> str:
    """Writes TOML with a comment for each section and key; `load` gives the same configuration back.

    Raises ConfigError if a key of the user's own class doesn't say its meaning, and for what is no configuration.
    """
    require_sections(config)
    fields = msgspec.structs.fields(Config)
    lines = [f"# {line}".rstrip() for line in (Config.__doc__ or "").splitlines()]
    lines += _assignments(config, [field for field in fields if not kinds(field.type)])
    for field in fields:
        if kinds(field.type):
            lines += _section(field, getattr(config, field.name))
    return "\n".join(lines).translate(_ESCAPED) + "\n"


def flat(config: Config | Mapping[str, Any]) -> dict[str, Any]:
    """All values by dotted key: {"seed": 1, "task.id": "CartPole-v1", "task.kwargs": {}, …}."""
    paths: dict[str, Any] = {}
    for name, value in values_of(config).items():
        if isinstance(value, Mapping):
            paths |= {f"{name}.{key}": each for key, each in value.items()}
        else:
            paths[name] = value
    return paths


def differences(run: Config, now: Config, directory: Literal["run", "replay"]) -> list[str]:
    """One line for each key that differs and is fixed in such a directory: "agent.n_step: 1 in the run, 3 now".

    If a kind differs, keys that only one of the two kinds has are not listed.
    """
    before, after = ({key: written(value) for key, value in flat(each).items()} for each in (run, now))
    fixed = [key for key, directories in keys().items() if directory in directories]
    return [
        f"{key}: {before[key]} in the run, {after[key]} now"
        for key in before
        if key in after and key in fixed and before[key] != after[key]
    ]


def deviations(own: Config, theirs: Config, who: str, besides: Collection[str] = ()) -> list[str]:
    """One line for each key, but for those in `besides`, in which two processes differ: "seed = 1 where WHO has 0"."""
    ours, others = ({key: written(value) for key, value in flat(each).items()} for each in (own, theirs))
    return [
        f"{key} = {ours.get(key, 'absent')} where {who} has {others.get(key, 'absent')}"
        for key in others | ours
        if key not in besides and ours.get(key) != others.get(key)
    ]


def _apply(values: dict[str, Any], override: str, option: str) -> str:
    """Applies one "key=value" to `values`; returns the key."""
    path, equals, text = override.partition("=")
    path = path.strip()
    *sections, key = path.split(".")
    if not equals or not all((*sections, key)):
        raise ConfigError(f"{option} {shown(override)}: must be key=value, such as agent.n_step=3")
    table = values
    for depth, section in enumerate(sections, start=1):
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            parent = ".".join(sections[:depth])
            raise ConfigError(f"{option} {shown(override)}: {shown(parent)} is {shown(table)}, not a table")
    table[key] = override_value(text.strip())
    return path


def _section(field: msgspec.structs.FieldInfo, section: Struct) -> list[str]:
    for key, problem in mistaken_keys(type(section), section.__struct_fields__).items():
        raise ConfigError(f"configuration: {field.name}.{key}{problem}")
    lines = ["", f"[{field.name}]"]
    lines += [f"# {line.strip()}".rstrip() for line in (section.__doc__ or "").splitlines()]
    if "" not in (choices := kinds(field.type)):
        kind, own = section.__struct_config__.tag, built_in(choices)
        one_of = "one of" if kind in own else "your own, or one of"
        lines.append(f'kind = "{kind}"  # {one_of} {", ".join(own)}')
    return lines + _assignments(section, msgspec.structs.fields(section))


def _assignments(section: Struct, fields: Sequence[msgspec.structs.FieldInfo]) -> list[str]:
    """Lines `key = value  # meaning` with aligned comments; a key that is None becomes a comment."""
    values = {field.name: getattr(section, field.name) for field in fields}
    lines = {
        name: f"# {name} =" if value is None else f"{name} = {_toml(value).as_string()}"
        for name, value in values.items()
    }
    column = max((len(line) for line in lines.values() if len(line) <= 40), default=0)
    return [f"{lines[field.name]:<{column}}  # {meaning(field)}" for field in fields]


def meaning(field: msgspec.structs.FieldInfo, lists_choices: bool = True) -> str:
    """What a key means and needs; with `lists_choices`, also which values it takes, if the text doesn't say."""
    meaning, choices = doc_of(field.type), literals(field.type)
    if lists_choices and not all(each in meaning for each in choices):
        meaning += f": {', '.join(choices)}"
    needed = [each.words for each in needs_of(field.type) if not each.is_of_the_agent]
    return f"{meaning} (needs {' and '.join(needed)})" if needed else meaning


def _toml(value: Any) -> Item:
    """A value as a TOML item on one line: tables and lists are inline at any depth."""
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        for key, each in value.items():
            table.append(key, _toml(each))
        return table
    if isinstance(value, list | tuple):
        array = tomlkit.array()
        array.extend(map(_toml, value))
        return array
    item: Item = tomlkit.item(value)
    return item


def written(value: Any) -> str:
    """A value as an override `{key}={written(value)}` would give it: TOML, or none."""
    return "none" if value is None else _toml(value).as_string()
