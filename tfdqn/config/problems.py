"""`Problems`: collects what is wrong with a configuration, so that one error says all of it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tfdqn.errors import ConfigError, ConfigErrors

_MOST_SHOWN = 20  # lines of one error


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
        """Raises ConfigError with all that was found: the first twenty lines, and how many more there are."""
        left = len(self._lines) - _MOST_SHOWN
        more = [f"and {left} more"] if left > 0 else []
        if len(self._lines) > 1:
            raise ConfigErrors([*self._lines[:_MOST_SHOWN], *more])
        for line in self._lines:
            raise ConfigError(line)
