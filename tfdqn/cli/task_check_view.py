"""The output of `tfdqn tasks --check`: its progress, and a table of its findings."""

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.status import Status

from tfdqn.cli.tables import WholeTable, print_whole
from tfdqn.cli.terminal import PLAIN_LINE_INTERVAL_SECONDS
from tfdqn.system.interval import IntervalTrigger

if TYPE_CHECKING:  # imports gymnasium
    from tfdqn.tasks.checking.check import TaskCheck

_REFRESH_SECONDS = 0.1


class CheckProgress:
    """Shows the progress of a check: one line, overwritten, on a terminal; elsewhere a line every ten seconds."""

    def __init__(self, console: Console):
        self._console = console
        self._status = Status("making the task", console=console)
        seconds = _REFRESH_SECONDS if self._console.is_terminal else PLAIN_LINE_INTERVAL_SECONDS
        self._due = IntervalTrigger(seconds)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._status.stop()

    def tell(self, about: str, steps: int, total: int) -> None:
        """Shows how far the check is: `steps` of `total` in each environment, with `about` saying what is checked."""
        if not self._due.is_due():
            return
        self._due.done()
        line = f"{about}: {steps:,} of {total:,} steps" if total else about
        if self._console.is_terminal:
            self._status.update(line)
        else:
            self._console.print(line, markup=False)

    def say(self, line: str) -> None:
        """Shows a line, which stays."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_check(found: "TaskCheck", console: Console) -> None:
    """Prints the findings, the suggested keys, and, if so, that training can run."""
    table = WholeTable(found.task, "", "")
    for finding in found.findings:
        table.add_row(finding.about, finding.verdict, finding.found)
    print_whole(console, table)
    if found.suggestions:
        console.print()
        keys = WholeTable("suggested", "")
        for setting, reason in found.suggestions.items():
            keys.add_row(setting, reason)
        print_whole(console, keys)
    if found.can_train:
        console.print()
        console.print("Training can run.")
