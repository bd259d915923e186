"""`PhaseLine`: says on a terminal what takes seconds, until it is over; for commands whose output is their result.

`starting`: while a command prepares its work, it says so, and a signal ends it at once and in order.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

import typer

from tfdqn.storage.locks import release_all
from tfdqn.system.signals import end_at_once, end_start, interruptions

if TYPE_CHECKING:  # imported late, since every command imports this file
    from rich.live import Live

_REFRESHES_PER_SECOND = 5


class PhaseLine:
    """One line on stderr, if that is a terminal, until it is closed; a context manager.

    stdout, which a program may read, is left alone. Other lines on stderr are printed above it.
    """

    def __init__(self, phase: str):
        self._live = _live_line(phase) if sys.stderr.isatty() else None

    @property
    def is_shown(self) -> bool:
        """Whether a terminal shows the line now."""
        return self._live is not None and self._live.is_started

    def __enter__(self) -> Self:
        if self._live is not None:
            from tfdqn.cli.terminal import write_if_there

            write_if_there(self._live.console, partial(self._live.start, refresh=True))
            self._live.console.show_cursor(True)  # Rich hides it, and a killed process could not restore it
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the line; does nothing if it is gone already."""
        live, self._live = self._live, None
        if live is not None:
            from tfdqn.cli.terminal import write_if_there

            write_if_there(live.console, live.stop)


def _live_line(phase: str) -> "Live | None":
    """The line, not yet shown; None if the terminal can't remove it again."""
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner

    console = Console(stderr=True, highlight=False)
    if console.is_dumb_terminal:
        return None
    return Live(
        Spinner("dots", phase),
        console=console,
        refresh_per_second=_REFRESHES_PER_SECOND,
        transient=True,
        redirect_stdout=False,
    )


@contextmanager
def starting(again: str) -> Iterator[None]:
    """In the block Ctrl-C, SIGTERM or SIGHUP ends the process with status 0, and prints the command `again`.

    For imports and checks that take seconds, before what handles signals by itself. A terminal shows that it starts.
    """
    line = PhaseLine("starting")

    def say() -> None:
        line.close()
        release_all()
        typer.echo(f"Stopped while starting: nothing was lost. To go on:\n{again}")

    with interruptions(end_at_once, lambda: end_start(say)), line:
        yield
