"""What a person sees: the progress of training, and the tables at the end."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from tfdqn.run_dir import RunDir

PLAIN_LINE_INTERVAL_SECONDS = 10.0


class ProgressReport(Protocol):
    """What `experiment.train` tells while it runs; None where there is no value yet."""

    @property
    def phase(self) -> str: ...
    @property
    def env_steps(self) -> int: ...
    @property
    def total_env_steps(self) -> int: ...
    @property
    def train_steps(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def env_steps_per_second(self) -> float: ...
    @property
    def updates_per_second(self) -> float: ...
    @property
    def episode_return(self) -> float | None: ...
    @property
    def loss(self) -> float | None: ...
    @property
    def best_return(self) -> float | None: ...


class TrainingProgress:
    """`with TrainingProgress() as progress: train(..., on_progress=progress.show)`.

    On a terminal a bar; elsewhere a line when the phase changes and every ten seconds.
    """

    def __init__(self, console: Console | None = None):
        self._console = console or Console(highlight=False)
        self._bar: Progress | None = None
        self._row: TaskID | None = None
        self._phase = ""
        self._line_due_seconds = 0.0

    def __enter__(self) -> "TrainingProgress":
        if self._console.is_terminal:
            columns = (
                TextColumn("[bold]{task.description}"),
                BarColumn(None),
                TextColumn("{task.fields[figures]}"),
            )
            self._bar = Progress(*columns, console=self._console, expand=True)
            self._bar.start()
            self._row = self._bar.add_task("starting", total=None, figures="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, report: ProgressReport) -> None:
        if self._bar and self._row is not None:
            self._bar.update(
                self._row,
                description=report.phase,
                completed=report.env_steps,
                total=report.total_env_steps,
                figures=escape(progress_figures(report)),
            )
            return
        now = time.monotonic()
        if report.phase != self._phase or now >= self._line_due_seconds:
            self._phase, self._line_due_seconds = report.phase, now + PLAIN_LINE_INTERVAL_SECONDS
            self._console.print(f"{report.phase}: {progress_figures(report)}", markup=False, soft_wrap=True)


def progress_figures(report: ProgressReport) -> str:
    """Steps, rates, return, loss, best and time left, in one short line."""
    figures = [
        f"{report.env_steps:,}/{report.total_env_steps:,} steps",
        f"{report.env_steps_per_second:,.0f} steps/s",
        f"{report.updates_per_second:,.0f} updates/s",
    ]
    if report.episode_return is not None:
        figures.append(f"return {report.episode_return:.4g}")
    if report.loss is not None:
        figures.append(f"loss {report.loss:.3g}")
    if report.best_return is not None:
        figures.append(f"best {report.best_return:.4g}")
    if report.env_steps_per_second > 0:
        steps_left = max(0, report.total_env_steps - report.env_steps)
        figures.append(f"{duration(steps_left / report.env_steps_per_second)} left")
    return ", ".join(figures)


def duration(seconds: float) -> str:
    """0:07, 12:34, 1:02:03."""
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}" if hours else f"{minutes}:{whole_seconds:02}"


def print_summary(summary: Any, run_dir: RunDir, console: Console | None = None) -> None:
    """What happened, and what it left.

    Args:
      summary: `experiment.Summary`: status, env_steps, train_steps, episodes, seconds, env_steps_per_second,
        best_return (None: never evaluated), final (None, or with mean_return, std_return, episodes).
    """
    rows = [
        ("status", str(summary.status)),
        ("environment steps", f"{summary.env_steps:,}"),
        ("updates", f"{summary.train_steps:,}"),
        ("episodes", f"{summary.episodes:,}"),
        ("wall time", duration(summary.seconds)),
        ("environment steps/s", f"{summary.env_steps_per_second:,.0f}"),
    ]
    if summary.best_return is not None:
        rows.append(("best evaluation", f"{summary.best_return:.2f}"))
    if summary.final is not None:
        final = summary.final
        rows.append(
            (
                "final evaluation, best policy",
                f"{final.mean_return:.2f} ± {final.std_return:.2f} over {final.episodes} greedy episodes",
            )
        )
    _print_pairs(rows, console)
    _print_pairs([(what, str(path)) for what, path in left_behind(run_dir)], console)


def left_behind(run_dir: RunDir) -> list[tuple[str, Path]]:
    """What of a run is there to be looked at: (what it is, where), only what exists."""
    exports = [each for each in run_dir.exports.glob("*") if each.name.isdigit()]
    latest_export = max(exports, key=lambda each: int(each.name), default=run_dir.exports)
    what = [
        ("TensorBoard logs", run_dir.logs),
        ("learning curve", run_dir.learning_curve),
        ("checkpoints", run_dir.checkpoints),
        ("best policy", run_dir.best),
        ("SavedModel", latest_export),
        ("profiler trace", run_dir.profile),
    ]
    return [(name, path) for name, path in what if path.exists()]


def print_evaluation(report: Any, console: Console | None = None) -> None:
    """`report`: an `EvaluationReport`."""
    rows = [
        ("mean return", f"{report.mean_return:.2f} ± {report.std_return:.2f}"),
        ("95 % interval of the mean", f"{report.ci_low:.2f} to {report.ci_high:.2f}"),
        ("median return", f"{report.median_return:.2f}"),
        ("mean length", f"{report.mean_length:.1f} steps"),
        ("episodes", f"{report.episodes:,}"),
    ]
    if report.video is not None:
        rows.append(("video", str(report.video)))
    _print_pairs(rows, console)


def print_tasks(tasks: Iterable[Any], console: Console | None = None) -> None:
    """`tasks`: `TaskEntry`s, each with id, usable, reason (why not), own_vector_version."""
    console = console or Console(highlight=False)
    table = _table("task", "usable", "own vector version")
    for task in tasks:
        usable = "yes" if task.usable else f"no: {task.reason}"
        table.add_row(escape(task.id), escape(usable), "yes" if task.own_vector_version else "")
    _print(table, console)


def _print_pairs(rows: Iterable[tuple[str, str]], console: Console | None) -> None:
    table = _table("", "")
    table.show_header = False
    for name, value in rows:
        table.add_row(name, escape(value))
    _print(table, console or Console(highlight=False))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        # Paths and ids are to be copied: never cut, and broken only by the terminal.
        table.add_column(column, overflow="fold", no_wrap=False)
    return table


def _print(table: Table, console: Console) -> None:
    # A pipe has no width: there a line is as long as it needs to be.
    console.print(table, width=None if console.is_terminal else 10_000)
