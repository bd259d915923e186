"""`LiveView`: a table that is redrawn in place on a terminal, with messages above it; elsewhere only lines."""

from collections.abc import Callable
from functools import partial
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from tfdqn.cli.tables import WholeTable
from tfdqn.cli.terminal import PLAIN_LINE_INTERVAL_SECONDS, make_console, print_line, write_if_there
from tfdqn.system.interval import IntervalTrigger

_REFRESH_SECONDS = 0.25
_RESERVED_LINES = 8  # below and above the table, for the totals and for messages


class LiveView:
    """The base of the views of work in progress; a context manager. A terminal that is closed is no error."""

    def __init__(self, console: Console | None = None):
        self._console = console or make_console()
        self._live: Live | None = None
        self._refresh = IntervalTrigger(_REFRESH_SECONDS, is_due=True)
        self._totals_line = IntervalTrigger(PLAIN_LINE_INTERVAL_SECONDS)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop", transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            write_if_there(self._console, self._live.stop)

    def say(self, line: str) -> None:
        """Prints one line, above the table if there is one."""
        print_line(self._console, line)

    def fitting(self, table: Callable[[int], WholeTable], least: int = 1) -> WholeTable:
        """A table that leaves the totals below it in sight: on a narrow terminal each of its rows may be several lines.

        Args:
          table: makes it of so many rows at most.
          least: the fewest rows that `table` can make.
        """
        room = max(self._console.height - _RESERVED_LINES, least)
        drawn = table(room)
        lines = len(self._console.render_lines(drawn, pad=False)) - 1  # without the heads
        return drawn if lines <= room else table(max(drawn.row_count * room // lines, least))

    def draw(self, table: Callable[[], RenderableType], say_what_changed: Callable[[], None]) -> None:
        """Redraws the table, or without a terminal prints what changed; does nothing if it did so just now."""
        if not self._refresh.is_due():
            return
        if self._live is None:
            say_what_changed()
        else:
            write_if_there(self._console, partial(self._live.update, table(), refresh=True))
        self._refresh.done()

    def say_totals(self, line: str) -> None:
        """Prints the totals, at most every `PLAIN_LINE_INTERVAL_SECONDS`."""
        if self._totals_line.is_due():
            self._totals_line.done()
            self.say(line)


def with_totals(table: RenderableType, line: str, done: int, total: int) -> Group:
    """A table, a bar of how much is done below it, and a line of totals below that."""
    # A padding of 0 ends the bar's line, which Rich doesn't.
    return Group(table, Padding(ProgressBar(total=total, completed=done), 0), Text(line))
