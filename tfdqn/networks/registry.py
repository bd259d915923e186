"""`Registry`: maps the types of settings in the configuration to what implements them."""

from typing import TypeVar

from tfdqn.config.fields import Section
from tfdqn.errors import ConfigError

T = TypeVar("T")


class Registry(dict[type[Section], T]):
    """Types of settings → their implementations. A package of your own adds to it: `TORSOS[MyNetwork] = …`."""

    def of(self, settings: Section) -> T:
        """Returns what is registered for the type of `settings`, or its nearest base. Raises ConfigError."""
        for kind in type(settings).__mro__:
            if kind in self:
                return self[kind]
        raise ConfigError(f"nothing is registered for settings of the type {type(settings).__name__}")
