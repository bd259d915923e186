"""`Registry`: maps the types of settings in the configuration to what implements them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tfdqn.config.fields import Section
from tfdqn.errors import ConfigError, OwnCodeError

T = TypeVar("T")


class Registry(dict[type[Section], T]):
    """Types of settings → their implementations. A package of your own adds to it: `TORSOS[MyNetwork] = …`.

    Args:
      name: its name in errors ("TORSOS").
      base: the type of all settings that it may have.
      built_in: the package's own implementations.
      check: raises OwnCodeError for an implementation that is none, given the name of its place.
    """

    def __init__(
        self,
        name: str,
        base: type[Section],
        built_in: Mapping[type[Section], T],
        check: Callable[[Any, str], None] = lambda implementation, where: None,
    ):
        super().__init__(built_in)
        self._name, self._base, self._check = name, base, check

    def __setitem__(self, settings: type[Section], implementation: T) -> None:
        if not isinstance(settings, type) or not issubclass(settings, self._base):
            base = self._base.__name__
            raise OwnCodeError(f"{self._name}[{settings!r}]: the key must be a class derived from {base}")
        self._check(implementation, f"{self._name}[{settings.__name__}]")
        super().__setitem__(settings, implementation)

    def of(self, settings: Section) -> T:
        """Returns what is registered for the type of `settings`, or its nearest base. Raises ConfigError."""
        for kind in type(settings).__mro__:
            if kind in self:
                return self[kind]
        raise unregistered(self._name, type(settings))


def unregistered(name: str, kind: type[Section]) -> ConfigError:
    """The error if the registry of this name has nothing for a type of settings."""
    return ConfigError(f"{name} has nothing for {kind.__name__}, which {kind.__module__} must add to it")
