"""`TrialsView`: shows a search: a live table of the trials that run on this host; without a terminal, lines."""

from collections.abc import Sequence

from rich.console import Group
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from tfdqn.cli.live_view import LiveView
from tfdqn.cli.runs_view import runs_table
from tfdqn.tuning.child_runs import ChildRun
from tfdqn.tuning.trial_records import Trial, TrialState, best_of


class TrialsView(LiveView):
    """Shows a search while it runs: `with TrialsView(wanted) as view: search(…, view)`.

    Args:
      wanted: how many trials the study is to have.
    """

    def __init__(self, wanted: int):
        super().__init__()
        self._wanted = wanted

    def show(self, trials: Sequence[Trial], runs: Sequence[ChildRun]) -> None:
        """Shows the study's trials, and the runs of those that are trained on this host."""

        def rendered() -> Group:
            bar = ProgressBar(total=self._wanted, completed=ended(trials))
            # A padding of 0 ends the bar's line, which Rich doesn't.
            table = self.fitting(lambda room: runs_table(runs[:room]))
            return Group(table, Padding(bar, 0), Text(figures(trials, self._wanted)))

        self.draw(rendered, lambda: self.say_totals(figures(trials, self._wanted)))


def ended(trials: Sequence[Trial]) -> int:
    """How many trials have ended and count towards the number that is wanted."""
    return sum(each.counts and each.has_ended for each in trials)


def figures(trials: Sequence[Trial], wanted: int) -> str:
    """The state of the study in one short line."""
    parts = [f"{ended(trials)} of {wanted} trials"]
    for state in TrialState:
        if count := sum(each.state is state for each in trials):
            parts.append(f"{count} {state}")
    if (best := best_of(trials)) is not None:
        parts.append(f"best {best.score:,.2f} (trial {best.number})")
    return ", ".join(parts)
