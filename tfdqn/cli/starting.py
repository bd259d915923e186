"""`starting`: while a command prepares its work, a signal ends it at once and in order."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from tfdqn.cli.phase_line import PhaseLine
from tfdqn.cli.terminal import STARTING
from tfdqn.storage.locks import release_all
from tfdqn.system.signals import end_at_once, end_start, interruptions


@contextmanager
def starting(again: str) -> Iterator[None]:
    """In the block Ctrl-C, SIGTERM or SIGHUP ends the process with status 0, and prints the command `again`.

    For imports and checks that take seconds, before what handles signals by itself. A terminal shows that it starts.
    """
    line = PhaseLine(STARTING)

    def say() -> None:
        line.close()
        release_all()
        typer.echo(f"Stopped while starting: nothing was lost. To go on:\n{again}")

    with interruptions(end_at_once, lambda: end_start(say)), line:
        yield
