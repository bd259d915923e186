"""`RunsView`: shows several runs that are trained at once: a live table on a terminal, elsewhere lines."""

from collections.abc import Sequence
from functools import partial

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from tfdqn.cli.live_view import LiveView
from tfdqn.cli.tables import WholeTable
from tfdqn.system.interval import duration
from tfdqn.tuning.observed_run import ObservedRun, Outcome


class RunsView(LiveView):
    """Shows runs while they are trained: `with RunsView() as view: train_seeds(…, view)`."""

    def __init__(self, console: Console | None = None):
        super().__init__(console)
        self._said: dict[str, str] = {}  # states, by name

    def show(self, runs: Sequence[ObservedRun]) -> None:
        """Shows the current state of all runs."""
        self.draw(partial(self._rendered, runs), partial(self._say_what_changed, runs))

    def _rendered(self, runs: Sequence[ObservedRun]) -> RenderableType:
        done, total = _steps(runs)
        bar = ProgressBar(total=total, completed=done)
        # A padding of 0 ends the bar's line, which Rich doesn't.
        table = self.fitting(lambda room: runs_table(_most_relevant(runs, room)))
        return Group(table, Padding(bar, 0), Text(figures(runs)))

    def _say_what_changed(self, runs: Sequence[ObservedRun]) -> None:
        for run in runs:
            # How a run has ended is reported by the code that started it.
            if run.is_alive and self._said.get(run.name) != run.state:
                self._said[run.name] = run.state
                self.say(f"{run.name}: {run.state}")
        self.say_totals(figures(runs))


def runs_table(runs: Sequence[ObservedRun]) -> WholeTable:
    """A table with one row per run."""
    table = WholeTable("run", "state", right=("steps", "speed", "return", "best evaluation", "time"))
    for run in runs:
        now = run.progress()
        table.add_row(
            run.name,
            run.state,
            f"{now.env_steps:,}" if now.env_steps else "",
            f"{now.env_steps_per_second:,.0f} steps/s" if run.is_alive and now.env_steps_per_second else "",
            "" if now.episode_return is None else f"{now.episode_return:,.1f}",
            "" if now.best_return is None else f"{now.best_return:,.1f}",
            duration(now.seconds) if now.seconds else "",
        )
    return table


def figures(runs: Sequence[ObservedRun]) -> str:
    """The progress of all runs together, in one short line."""
    finished, failed = (sum(run.outcome is each for run in runs) for each in (Outcome.FINISHED, Outcome.FAILED))
    done, total = _steps(runs)
    speed = sum(run.progress().env_steps_per_second for run in runs if run.is_alive)
    parts = [f"{finished} of {len(runs)} finished", *([f"{failed} failed"] if failed else [])]
    parts.append(f"{done:,}/{total:,} steps")
    if speed > 0:
        parts += [f"{speed:,.0f} steps/s", f"at most {duration((total - done) / speed)} left"]
    return ", ".join(parts)


def _steps(runs: Sequence[ObservedRun]) -> tuple[int, int]:
    """(environment steps taken, environment steps in all), summed; a finished run counts as far as it came."""
    done = total = 0
    for run in runs:
        taken = run.progress().env_steps
        done += taken
        total += max(taken, run.config.stop.env_steps) if run.outcome is not Outcome.FINISHED else taken
    return done, total


def _most_relevant(runs: Sequence[ObservedRun], room: int) -> Sequence[ObservedRun]:
    """At most `room` runs in their own order; those in training are preferred, then those that have failed."""
    order = sorted(runs, key=lambda run: (not run.is_alive, run.outcome is not Outcome.FAILED))[:room]
    return [run for run in runs if run in order]
