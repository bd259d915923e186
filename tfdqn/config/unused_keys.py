"""`unused_keys`: finds keys that a configuration sets, but that nothing reads given its other keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from msgspec import NODEFAULT, structs

from tfdqn.config.fields import Needs, kinds, needs_of
from tfdqn.config.schema import Config
from tfdqn.config.wording import shown, with_values


@dataclass(frozen=True)
class UnusedKey:
    """A key that is set and not read: its default, what it would need to be read, and the problem in one line."""

    section: str
    key: str
    default: Any
    needs: Needs
    line: str

    @property
    def path(self) -> str:
        return f"{self.section}.{self.key}"


def unused_keys(config: Config) -> Iterator[UnusedKey]:
    """Yields each unused key whose value differs from its default, once."""
    for section in structs.fields(Config):
        if not kinds(section.type):
            continue
        values = getattr(config, section.name)
        for key in structs.fields(values):
            default = key.default if key.default_factory is NODEFAULT else key.default_factory()
            if default is NODEFAULT or getattr(values, key.name) == default:
                continue
            lacking = (each for each in (*needs_of(section.type), *needs_of(key.type)) if not each.holds(config))
            if needs := next(lacking, None):
                path = f"{section.name}.{key.name}"
                yield UnusedKey(section.name, key.name, default, needs, with_values(config, _line(config, path, needs)))


def without(config: Config, key: UnusedKey) -> Config:
    """`config`, with the key's default."""
    section = structs.replace(getattr(config, key.section), **{key.key: key.default})
    return structs.replace(config, **{key.section: section})


def _line(config: Config, path: str, needs: Needs) -> str:
    if needs.is_of_the_agent:
        return f"<{path}> means nothing with <agent.kind>: {needs.words}"
    there = dict.fromkeys(shown(value) for key in needs.keys if (value := attrgetter(key)(config)) is not None)
    return f"<{path}> needs {needs.words}{', not ' if there else ''}{' and '.join(there)}"
