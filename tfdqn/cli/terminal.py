"""Output for people: the progress of training, and tables of results."""

import os
import select
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from tfdqn.cli.tables import WholeTable, pairs_table, print_whole
from tfdqn.records import Progress, Summary
from tfdqn.system.interval import IntervalTrigger, duration
from tfdqn.system.signals import stopping_line

if TYPE_CHECKING:  # these import TensorFlow and gymnasium
    from tfdqn.evaluation.evaluate import EvaluationReport
    from tfdqn.tasks.suites.suite import TaskEntry

PLAIN_LINE_INTERVAL_SECONDS = 10.0
_MIN_COLUMNS = 20  # in a narrower terminal tables would lose what they show
STARTING = "starting"
_NEAR = 0.25  # the part of a rate by which another may differ that is not worth naming
# Later phases don't end at a number of environment steps, so that no time left can be estimated.
PHASES_OF_TRAINING = ("filling replay", "learning")


class TrainingProgress:
    """Shows the progress of training: `with TrainingProgress() as progress: train(..., on_progress=progress.show)`.

    A terminal shows a bar; elsewhere a line is printed when the phase changes and every ten seconds. A terminal that is
    closed is no error.
    """

    def __init__(self, console: Console | None = None):
        self._console = console or make_console()
        self._bar: Bars | None = None
        self._row: TaskID | None = None
        self._phase = STARTING
        self._line = IntervalTrigger(PLAIN_LINE_INTERVAL_SECONDS, is_due=True)

    def __enter__(self) -> "TrainingProgress":
        if self._console.is_terminal:
            columns = TextColumn("[bold]{task.description}"), BarColumn(None), TaskProgressColumn()
            self._bar = _BarAboveFigures(*columns, console=self._console, expand=True)
            self._bar.start()
            self._row = self._bar.add_task(self._phase, total=None, figures="")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops drawing; lines may be said still."""
        if self._bar:
            write_if_there(self._console, self._bar.stop)

    def say(self, line: str) -> None:
        """Prints one line, above the bar if there is one."""
        print_line(self._console, line)

    @property
    def has_begun(self) -> bool:
        """Whether training has: something was shown of it."""
        return self._phase != STARTING

    def stopping(self) -> None:
        """Confirms that a signal has arrived: to stop may take a while."""
        self.say(stopping_line(self._phase))

    def show(self, progress: Progress) -> None:
        """Shows how far training is."""
        is_new_phase = progress.phase != self._phase
        self._phase = progress.phase
        if self._bar and self._row is not None:
            self._bar.update(
                self._row,
                description=progress.phase,
                completed=progress.env_steps,
                total=progress.total_env_steps,
                figures=progress_figures(progress),
            )
            return
        if is_new_phase or self._line.is_due():
            self._line.done()
            self.say(f"{progress.phase}: {progress_figures(progress)}")


def write_if_there(console: Console, write: Callable[[], object]) -> None:
    """Writes to the terminal. If that has gone away, shows nothing from then on, and the work goes on."""
    try:
        write()
    except OSError:
        console.quiet = True


def print_line(console: Console, line: str) -> None:
    """Prints one line of plain text, which only the terminal breaks; does nothing if that has gone away."""
    write_if_there(console, lambda: console.print(line, markup=False, soft_wrap=True))


class _BarAboveFigures(Bars):
    """A bar with the figures below it, where they wrap: beside it, 80 columns would cut them off."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            yield Text(task.fields["figures"])


def progress_figures(progress: Progress) -> str:
    """Steps, rates, return, loss, best and time left, in one short line."""
    figures = [f"{progress.env_steps:,}/{progress.total_env_steps:,} steps"]
    if progress.first_call:
        figures.insert(0, progress.first_call)
    if progress.env_steps_per_second > 0:  # not known in the first second
        figures.append(f"{progress.env_steps_per_second:,.0f} steps/s")
    if progress.updates_per_second > 0:
        figures.append(f"{progress.updates_per_second:,.0f} updates/s")
    if progress.episode_return is not None:
        figures.append(f"return {progress.episode_return:,.1f}")
    if progress.loss is not None:
        figures.append(f"loss {progress.loss:.3g}")
    if progress.best_return is not None:
        figures.append(f"best {progress.best_return:,.1f}")
    if min(progress.env_steps, progress.env_steps_per_second) > 0 and progress.phase in PHASES_OF_TRAINING:
        steps_left = max(0, progress.total_env_steps - progress.env_steps)
        mean = progress.env_steps / max(progress.seconds, 1e-3)
        figures.append(time_left(steps_left, mean, progress.env_steps_per_second))
    return ", ".join(figures)


def time_left(steps: int, mean: float, present: float) -> str:
    """How long so many environment steps take at the mean rate, evaluations included: by the present one it would jump.

    The mean is named where it is not near the present rate, as in the first seconds after a run is resumed. Rates are
    in environment steps/s.
    """
    at = "" if abs(mean - present) <= _NEAR * present else f" at the mean rate of {mean:,.0f} steps/s"
    return f"{duration(steps / mean)} left{at}"


def ago(seconds: float) -> str:
    """An age in words: "0:07 ago", or "dated 0:07 in the future" if a clock was set back since."""
    return f"{duration(seconds)} ago" if seconds >= 0 else f"dated {duration(-seconds)} in the future"


def print_summary(summary: Summary, console: Console | None = None) -> None:
    """Prints the summary of a run, and the paths of what it wrote."""
    rows = [
        (summary.status, summary.reason),
        ("environment steps", f"{summary.env_steps:,}"),
        ("updates", f"{summary.train_steps:,}"),
        ("episodes", f"{summary.episodes:,}"),
        ("training time", duration(summary.seconds)),
        ("environment steps/s", f"{summary.env_steps / max(summary.seconds, 1e-3):,.0f}"),
    ]
    if summary.environment_restarts:
        rows.append(("environments restarted", f"{summary.environment_restarts:,}"))
    if summary.best_return is not None:
        rows.append(("best evaluation", f"{summary.best_return:,.2f}"))
    if summary.final is not None:
        final = summary.final
        mean = f"{final.mean_return:,.2f} (std {final.std_return:,.2f})"
        rows.append(("final evaluation", f"{mean} over {final.episodes:,} fresh greedy episodes"))
    print_whole(console or make_console(), pairs_table([*rows, *summary.paths.items()]))


def print_evaluation(report: "EvaluationReport", console: Console) -> None:
    """Prints the result of `tfdqn evaluate`."""
    rows = [
        ("mean return", f"{report.mean_return:,.2f} (std {report.std_return:,.2f})"),
        ("95 % confidence interval", f"{report.ci_low:,.2f} to {report.ci_high:,.2f}"),
        ("median return", f"{report.median_return:,.2f}"),
        ("mean length", f"{report.mean_length:,.1f} steps"),
        ("episodes", f"{report.episodes:,}"),
    ]
    if report.video is not None:
        rows.append(("video", str(report.video)))
    print_whole(console, pairs_table(rows))


def print_tasks(tasks: Iterable["TaskEntry"], console: Console | None = None) -> None:
    """Prints a table of tasks, with what each needs before it can be used."""
    table = WholeTable("task", "task.suite", "own vector version", "usable")
    for task in tasks:
        own = "yes" if task.own_vector_version else "no"
        table.add_row(task.id, task.suite, own, _usable(task))
    console = console or make_console()
    print_whole(console, table)
    require_reader(console)


def _usable(task: "TaskEntry") -> str:
    if task.reason:
        return f"no: {task.reason}"
    if task.needs:
        return f"with {task.needs}"
    return "yes" if task.is_tried else "not tried: --check ID tries one"


def require_reader(console: Console) -> None:
    """Raises typer.Exit if what was shown has no reader any more (`| head`): for commands that only show something."""
    if console.quiet:
        raise typer.Exit(1)


def is_hung_up(console: Console) -> bool:
    """Whether the other end of a pipe or a terminal is closed, which is known before anything is written to it."""
    try:
        descriptor = console.file.fileno()
    except (OSError, ValueError):  # it is not a file's
        return False
    poll = select.poll()
    poll.register(descriptor, 0)  # what is asked for is reported in any case
    return any(found & (select.POLLERR | select.POLLHUP) for _, found in poll.poll(0))


class _Console(Console):
    """A console whose reader may go away (`| head`): from then on nothing is shown, and the work goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)

    def show_cursor(self, show: bool = True) -> bool:
        """Never hides the cursor, as Rich does while it draws: a killed process could not restore it."""
        return super().show_cursor(True)


def make_console() -> Console:
    """A console for stdout. A pipe, a dumb terminal and a very narrow one get whole lines, which are never wrapped."""
    console = _Console(highlight=False)
    is_terminal = sys.stdout.isatty()
    if is_terminal and not console.is_dumb_terminal and console.width >= _MIN_COLUMNS:
        return console
    return _Console(highlight=False, width=10_000, force_terminal=False if is_terminal else None)
