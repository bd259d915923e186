"""`Registry`: what belongs to each kind of a section of the configuration, found by the type of its settings."""

from typing import TypeVar

from tfdqn.config.fields import Section
from tfdqn.errors import ConfigError

T = TypeVar("T")


class Registry(dict[type[Section], T]):
    """Settings' types → what is made of them; a package outside adds its own: `TORSOS[MyNetwork] = …`."""

    def of(self, settings: Section) -> T:
        """What is registered for the type of these settings, or for its nearest base. Raises ConfigError."""
        for kind in type(settings).__mro__:
            if kind in self:
                return self[kind]
        raise ConfigError(f"nothing is registered for settings of the type {type(settings).__name__}")
