"""`Problems`: collects what is wrong with a configuration, so that one error says all of it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tfdqn.errors import ConfigError, ConfigErrors


class Problems:
    """What is wrong with the keys of a configuration, a line each, in the order in which it was found."""

    def __init__(self, lines: Iterable[str] = ()):
        self._lines = list(lines)

    @property
    def are_none(self) -> bool:
        """Whether nothing was found."""
        return not self._lines

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps what a ConfigError says that ends the block, instead of letting it through."""
        try:
            yield
        except ConfigErrors as error:
            self._lines += error.lines
        except ConfigError as error:
            self._lines.append(str(error))

    def require_none(self) -> None:
        """Raises ConfigError, or ConfigErrors, with all that was found."""
        if len(self._lines) > 1:
            raise ConfigErrors(self._lines)
        if self._lines:
            raise ConfigError(self._lines[0])
