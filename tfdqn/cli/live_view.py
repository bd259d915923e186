"""`LiveView`: a table that is drawn again and again on a terminal, with lines above it; elsewhere lines alone."""

from collections.abc import Callable
from functools import partial
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from tfdqn.cli.terminal import PLAIN_LINE_INTERVAL_SECONDS, make_console
from tfdqn.system.interval import IntervalTrigger

_REFRESH_SECONDS = 0.25
_LINES_BELOW = 8  # of the figures and of messages


class LiveView:
    """`with` a subclass that draws when it is shown something new; a terminal that is closed is no error."""

    def __init__(self, console: Console | None = None):
        self._console = console or make_console()
        self._live: Live | None = None
        self._refresh = IntervalTrigger(_REFRESH_SECONDS, is_due=True)
        self._totals_line = IntervalTrigger(PLAIN_LINE_INTERVAL_SECONDS)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop", transient=True)
            self._live.start()
            self._console.show_cursor(True)  # Rich hides it, and a killed process could not put it back
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._shielded(self._live.stop)

    def say(self, line: str) -> None:
        """One line, above the table where there is one."""
        self._shielded(lambda: self._console.print(line, markup=False, soft_wrap=True))

    @property
    def room(self) -> int:
        """Lines for the table."""
        return self._console.height - _LINES_BELOW

    def draw(self, table: Callable[[], RenderableType], say_what_changed: Callable[[], None]) -> None:
        """A few times a second: the table where there is a terminal, else lines of what has changed."""
        if not self._refresh.is_due():
            return
        if self._live is None:
            say_what_changed()
        else:
            self._shielded(partial(self._live.update, table(), refresh=True))
        self._refresh.done()

    def say_totals(self, line: str) -> None:
        """Now and then, where there is no terminal."""
        if self._totals_line.is_due():
            self._totals_line.done()
            self.say(line)

    def _shielded(self, write: Callable[[], object]) -> None:
        """A terminal that has gone away takes no work with it: nothing more is shown."""
        try:
            write()
        except OSError:
            self._console.quiet = True
