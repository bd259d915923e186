"""`PhaseLine`: says on a terminal what takes seconds, until it is over; for commands whose output is their result."""

import sys
from functools import partial
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from tfdqn.cli.terminal import write_if_there

_REFRESHES_PER_SECOND = 5


class PhaseLine:
    """One line on stderr, if that is a terminal, until it is closed; a context manager.

    stdout, which a program may read, is left alone. Other lines on stderr are printed above it.
    """

    def __init__(self, phase: str):
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        if sys.stderr.isatty() and not self._console.is_dumb_terminal:
            self._live = Live(
                Spinner("dots", phase),
                console=self._console,
                refresh_per_second=_REFRESHES_PER_SECOND,
                transient=True,
                redirect_stdout=False,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            write_if_there(self._console, partial(self._live.start, refresh=True))
            self._console.show_cursor(True)  # Rich hides it, and a killed process could not restore it
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the line; does nothing if it is gone already."""
        live, self._live = self._live, None
        if live is not None:
            write_if_there(self._console, live.stop)
