"""`recorded`: what a run's configuration says, read without importing the user's modules that it names.

For what shows or compares runs, on machines that may not have these modules.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct, structs

from tfdqn.config import Config, toml
from tfdqn.config.fields import kinds
from tfdqn.config.reader import built_in, read_alone
from tfdqn.config.schema import values_of
from tfdqn.storage.run_directory import RunDir


class RecordedConfig(NamedTuple):
    """A run's configuration.

    Attributes:
      config: the configuration; what it says of sections of the user's own kinds, such as `agent`, is the default.
      values: all values by section and key. Of the user's own kinds, those that are in the file, even if one has no
        effect or has become a default since, and those of keys that all of tfdqn's kinds have with the same default:
        the file lacks them if they are newer than the run, and that the user's kind has this default is assumed.
    """

    config: Config
    values: Mapping[str, Any]


def recorded(run: RunDir) -> RecordedConfig:
    """The configuration that the run was last started with.

    Raises RunDirError if there is no run in the directory, ConfigError if the file is damaged.
    """
    written = toml.values_in(run.begun().config_file, is_complete=True)
    own = {
        name: _shared_defaults(by_kind) | _values(written[name])
        for name, by_kind in _kinds_of_sections().items()
        if _is_own(written.get(name))
    }
    if not own:
        config = run.config()
        return RecordedConfig(config, values_of(config))
    config = read_alone({name: each for name, each in written.items() if name not in own}, str(run.config_file))
    return RecordedConfig(config, values_of(config) | own)


def _values(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section as it is in a file, with tuples for its lists, as `values_of` has them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in section.items()}


def _kinds_of_sections() -> dict[str, dict[str, type[Struct]]]:
    """The structs by kind of each section that has kinds."""
    return {field.name: found for field in structs.fields(Config) if any(found := kinds(field.type))}


def _shared_defaults(by_kind: Mapping[str, type[Struct]]) -> dict[str, Any]:
    """The keys that all built-in kinds of a section have, if they have the same value by default."""
    first, *others = (values_of(structs.asdict(by_kind[kind]())) for kind in built_in(by_kind))
    return {
        key: value
        for key, value in first.items()
        if value is not None and all(key in each and each[key] == value for each in others)
    }


def _is_own(section: Any) -> bool:
    """Whether a section of a configuration file is of a kind that a user's module defines."""
    return isinstance(section, Mapping) and ":" in str(section.get("kind"))
