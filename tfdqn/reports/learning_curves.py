"""`plot`: draws the learning curves of runs, from their `evaluations.jsonl` and `metrics.jsonl`, to a PNG."""

import textwrap
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from tfdqn.errors import RunDirError, UserError, listed, message_in_one_line
from tfdqn.reports.configurations import Configuration, agent_of, compared, grouped, labels, require_one_task
from tfdqn.reports.curves import Curve, averaged, curve, on_common_steps
from tfdqn.reports.finished_runs import require_several
from tfdqn.reports.pictures import COLOURS, draw_range, label_curves, marker, matplotlib_alone
from tfdqn.reports.run_search import find_runs, without_trials
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.recorded_config import recorded
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_evaluations, read_reports

_MOST_IN_LEGEND = 60  # characters of a line
_MOST_BELOW = 105
_LEGEND_LINE = 0.18  # inches
_MOST_ACTING_POINTS = 100  # a dotted line through thousands of points would hide the evaluations


class NothingToDrawError(RunDirError):
    """A run has neither an evaluation nor a finished episode yet."""

    def __init__(self, path: Path | str):
        super().__init__(f"{path} has nothing to draw yet: no evaluation and no finished episode")


class RunCurves(NamedTuple):
    """One run's curves."""

    path: Path
    configuration: Configuration
    evaluation: Curve  # greedy return
    acting: Curve  # return while acting, exploration included


def plot(
    run_dirs: Sequence[RunDir | Path | str],
    output: Path | str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Draws the learning curves of runs, or of folders with runs in them; returns the path of the PNG.

    Runs that differ in the seed alone are drawn as their mean with a band. A run that is named twice is drawn once, and
    a search's trials are not drawn together with fresh seeds of their configuration.

    Args:
      output: the PNG to write; None: `learning_curve` of the first run.
      say: is told in one line of a run that is left out, or of a folder that can't be read.

    Raises RunDirError if a run has nothing to draw yet or is damaged, or the picture can't be written, UserError if
    `output` is not a PNG's name, or if the runs are of different tasks.
    """
    require_several(run_dirs)
    path = RunDir.at(run_dirs[0]).learning_curve if output is None else Path(output)
    if path.is_dir() or path.suffix.lower() != ".png":
        kind = "a directory" if path.is_dir() else "not a PNG's name"
        raise UserError(f"{path} is {kind}: give a file such as learning_curves.png")
    drawn = {run.path.resolve(): run for path in run_dirs for run in _read_all(path, say)}.values()
    require_one_task(drawn)
    groups = without_trials(grouped(drawn), say)
    write_atomically(path, _png(groups))
    return path


def _read_all(path: RunDir | Path | str, say: Callable[[str], None]) -> list[RunCurves]:
    """The curves of a run, or of all runs in a folder that have some. Raises UserError if there are none."""
    if isinstance(path, RunDir):
        return [_read(path)]
    found, unreadable = find_runs(Path(path))
    troubles: list[UserError] = [RunDirError(f"{folder} {why}") for folder, why in unreadable.items()]
    if found == [Path(path)] or not (found or troubles):
        return [_read(RunDir.at(path))]
    curves = []
    for each in found:
        try:
            curves.append(_read(RunDir(each)))
        except UserError as error:
            troubles.append(error)
    if not curves and all(isinstance(each, NothingToDrawError) for each in troubles):
        raise NothingToDrawError(path)
    reasons = listed([message_in_one_line(each) for each in troubles])
    if not curves:
        raise RunDirError(reasons)
    if troubles:
        say(f"left out: {reasons}")
    return curves


def _read(run: RunDir) -> RunCurves:
    """One run's curves. Raises RunDirError if both are empty."""
    curves = RunCurves(
        path=run.path,
        configuration=compared(recorded(run).values),
        evaluation=curve((each.env_steps, each.mean_return) for each in read_evaluations(run.evaluations_file)),
        acting=curve((each.env_steps, each.episode_return) for each in read_reports(run.metrics_file)),
    )
    if not curves.evaluation.values.size and not curves.acting.values.size:
        raise NothingToDrawError(run.path)
    return curves


def _png(groups: Sequence[list[RunCurves]]) -> bytes:
    """A picture of the groups' curves as a PNG."""
    configurations = [runs[0].configuration for runs in groups]
    names = [f"{each['task.id']} {agent_of(each)}" for each in configurations]
    found = [f" {label}" if label[0] == "_" else label for label in labels(configurations, names)]  # see `_add_legend`
    with matplotlib_alone({}) as matplotlib:
        figure = matplotlib.figure.Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
        axes = figure.add_subplot()
        for colour, label, runs in zip(cycle(COLOURS), found, groups, strict=False):
            _draw(axes, label, runs, colour)
        label_curves(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        _add_legend(figure, axes)
        picture = BytesIO()
        figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(axes: Any, label: str, runs: list[RunCurves], colour: str) -> None:
    """Draws a group's greedy evaluations as a line and the returns while exploring as a thin dotted one.

    With several seeds, lines are means, and a band goes from the lowest to the highest evaluation.
    """
    evaluations = [run.evaluation for run in runs if run.evaluation.values.size]
    acting = [averaged(run.acting, _MOST_ACTING_POINTS) for run in runs if run.acting.values.size]
    seeds = "" if len(runs) == 1 else f" of {len(runs)} seeds"
    of_greedy, of_exploring = (f", mean and range{seeds}", f", mean{seeds}") if seeds else ("", "")
    if evaluations:
        draw_range(axes, evaluations, colour, lw=2, label=f"{label}: greedy{of_greedy}")
    if acting:
        steps, values = on_common_steps(acting)
        style = {"color": colour, "lw": 1, "ls": ":", "marker": marker(steps, ".")}
        axes.plot(steps, values.mean(axis=0), label=f"{label}: exploring{of_exploring}", **style)


def _add_legend(figure: Any, axes: Any) -> None:
    """Adds a legend among the curves, or below them, where long names continue on further lines, if one needs that.

    Matplotlib leaves out names that begin with "_".
    """
    handles, names = axes.get_legend_handles_labels()
    if max(map(len, names)) <= _MOST_IN_LEGEND:
        axes.legend(frameon=False, loc="best")
        return
    names = [textwrap.fill(name, _MOST_BELOW, subsequent_indent="  ", break_on_hyphens=False) for name in names]
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE * sum(name.count("\n") + 1 for name in names))
    figure.legend(handles, names, frameon=False, loc="outside lower left", fontsize="small")
