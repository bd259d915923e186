"""What a person sees of `tfdqn tasks --check`: how far the check is, and the table of what it found."""

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from tfdqn.cli.terminal import PLAIN_LINE_INTERVAL_SECONDS, make_console, make_table
from tfdqn.system.interval import IntervalTrigger

if TYPE_CHECKING:  # gymnasium comes with it
    from tfdqn.tasks.checking.check import TaskCheck

_REFRESH_SECONDS = 0.1


class CheckProgress:
    """On a terminal a line that is overwritten; elsewhere one every ten seconds.

    Args:
      is_shown: whether anything is to be seen of it at all.
      console: None: of stdout.
    """

    def __init__(self, is_shown: bool = True, console: Console | None = None):
        self._console = console or make_console()
        self._status = Status("making the task", console=self._console) if is_shown else None
        seconds = _REFRESH_SECONDS if self._console.is_terminal else PLAIN_LINE_INTERVAL_SECONDS
        self._due = IntervalTrigger(seconds)

    def __enter__(self) -> "CheckProgress":
        if self._status is not None and self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._status is not None and self._console.is_terminal:
            self._status.stop()

    def tell(self, about: str, steps: int, total: int) -> None:
        """Where the check is: `steps` of `total`, of each environment."""
        if self._status is None or not self._due.is_due():
            return
        self._due.done()
        line = f"{about}: {steps:,} of {total:,} steps"
        if self._console.is_terminal:
            self._status.update(line)
        else:
            self._console.print(line, markup=False)


def print_check(found: "TaskCheck", console: Console | None = None) -> None:
    """The table, and the keys that suit the task."""
    console = console or make_console()
    table = make_table(found.task, "", "")
    for finding in found.findings:
        table.add_row(finding.about, finding.verdict, escape(finding.found))
    console.print(table)
    if found.suggestions:
        console.print()
        keys = make_table("suggested", "")
        for setting, reason in found.suggestions.items():
            keys.add_row(setting, escape(reason))
        console.print(keys)
    console.print()
    console.print(f"Training can{'' if found.can_train else chr(39) + 't'} run.", markup=False)
