"""A report's pictures: learning curves, performance profile, probability of improvement; as PNG, and as SVG for a page.

In an SVG, text and axes have the colour of the page's text, so that it suits light and dark pages alike, and lines have
ids, such as `curve-0` for the first group. Labels name groups by their numbers, which count from 1.
"""

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfdqn.errors import UserError
from tfdqn.reports.curves import Curve, on_common_steps
from tfdqn.reports.groups import Improvement, Report
from tfdqn.reports.statistics import percentile_bootstrap_interval, performance_profile

# Okabe and Ito's palette for colour-blind readers (jfly.uni-koeln.de/color), with grey instead of black and yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#888888")
MOST_PAIRS = 20  # the most pairs of groups that are drawn
_INK = "#010203"  # replaced by the text's colour in an SVG
_PROFILE_POINTS = 201
_PLAIN_TEXT = {"text.parse_math": False}  # "$" in names and values begins no formula
_drawing = threading.Lock()  # Matplotlib's settings are global, and it isn't thread-safe


class Picture(NamedTuple):
    """A function that draws, and the size of what it draws."""

    draw: Callable[[Any], None]  # takes Matplotlib's axes
    height: float = 3.4  # inches
    width: float = 5.0  # inches: small, so that text can be read where a page is scaled to a telephone's width


def pictures(report: Report, improvements: Sequence[Improvement]) -> dict[str, Picture]:
    """A report's pictures by name ("curves", "profile", "improvement"); without improvements, the first two."""
    found = {"curves": Picture(partial(_draw_curves, report)), "profile": Picture(partial(_draw_profile, report))}
    if improvements:
        drawn = improvements[:MOST_PAIRS]
        found["improvement"] = Picture(partial(_draw_improvements, drawn), height=0.7 + 0.3 * len(drawn))
    return found


def png(picture: Picture) -> bytes:
    """The picture as a PNG on white, with a legend."""
    with _figure("#24292f", picture) as figure:
        axes = figure.add_subplot()
        picture.draw(axes)
        handles, names = axes.get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside lower left", frameon=False)
        return _saved(figure, format="png", dpi=200)


def svg(picture: Picture, name: str) -> str:
    """The picture as an SVG element for an HTML page, without a legend; its ids begin with `name`."""
    with _figure(_INK, picture) as figure:
        picture.draw(figure.add_subplot())
        text = _saved(figure, format="svg", transparent=True, metadata={"Date": None}).decode()
    text = text[text.index("<svg") :].replace(_INK, "currentColor").replace("xlink:", "")
    # Removes XML's namespaces and metadata, which HTML doesn't need, and styles, which would apply to the whole page.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|\sxmlns(:\w+)?=\"[^\"]*\"", "", text, flags=re.DOTALL)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text).replace("<svg", '<svg role="img"', 1)


@contextmanager
def matplotlib_alone(style: Mapping[str, Any]) -> Iterator[Any]:
    """Lets this thread alone draw in the block, with Matplotlib's own settings and `style`, and none of the user's.

    So a picture looks the same everywhere, and needs nothing that a user's settings may need, such as LaTeX. Yields
    Matplotlib.
    """
    with _drawing:  # no limit: drawing takes seconds
        matplotlib = _import_matplotlib()
        defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
        with matplotlib.rc_context({**defaults, **_PLAIN_TEXT, **style}):
            yield matplotlib


def _import_matplotlib() -> Any:
    """Matplotlib with its module `figure`, imported here because that takes most of a second."""
    logging.getLogger("matplotlib").addFilter(_is_relevant)
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it warns that its first use takes seconds
    try:
        import matplotlib.figure
    except ValueError:  # it knows no such backend, or can't decode the user's settings; pictures need neither
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # what was imported before the error: a second import would do without it
        with _without_settings():
            try:
                import matplotlib.figure
            except UnicodeDecodeError:  # it reads the working directory's before any other
                raise UserError(
                    f"{Path('matplotlibrc').absolute()}, which Matplotlib reads, is not UTF-8: save it as UTF-8, or "
                    "start tfdqn in another directory"
                ) from None
    return matplotlib


@contextmanager
def _without_settings() -> Iterator[None]:
    """Has an import of Matplotlib in the block choose no backend, and read none of the user's files.

    It reads one in the working directory nonetheless.
    """
    names = ("MPLBACKEND", "MATPLOTLIBRC")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ["MATPLOTLIBRC"] = os.devnull
    try:
        yield
    finally:
        del os.environ["MATPLOTLIBRC"]
        os.environ.update(before)


def _is_relevant(record: logging.LogRecord) -> bool:
    """False for a warning that concerns no picture.

    It says that Matplotlib keeps its cache elsewhere because the usual place can't be written, or that it can't decode
    the user's settings.
    """
    return record.funcName != "_get_config_or_cache_dir" and "Cannot decode" not in str(record.msg)


@contextmanager
def _figure(ink: str, picture: Picture) -> Iterator[Any]:
    keys = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    style = dict.fromkeys(keys, ink) | {"svg.fonttype": "none", "svg.hashsalt": "tfdqn", "path.simplify": False}
    with matplotlib_alone(style) as matplotlib:
        yield matplotlib.figure.Figure(figsize=(picture.width, picture.height), layout="constrained")


def _saved(figure: Any, **options: Any) -> bytes:
    content = BytesIO()
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.2)
    figure.savefig(content, **options)
    return content.getvalue()


def _draw_curves(report: Report, axes: Any) -> None:
    """Draws the mean of each group's greedy evaluations, and a band from the lowest to the highest."""
    for i, (group, colour) in enumerate(zip(report.groups, cycle(COLOURS), strict=False)):
        draw_range(axes, [run.evaluation for run in group.runs], colour, label=group.name, gid=f"curve-{i}")
    if report.threshold is not None:
        axes.axhline(report.threshold, color="#888888", lw=1, ls="--", gid="threshold")
    label_curves(axes)


def _draw_profile(report: Report, axes: Any) -> None:
    """Draws for each return the fraction of a group's runs that score higher, with its interval."""
    every = np.concatenate([group.scores for group in report.groups])
    margin = 0.05 * np.ptp(every) or 1.0
    thresholds = np.linspace(every.min() - margin, every.max() + margin, _PROFILE_POINTS)
    profile = partial(performance_profile, thresholds=thresholds)
    for i, (group, colour) in enumerate(zip(report.groups, cycle(COLOURS), strict=False)):
        style = {"color": colour, "label": group.name, "gid": f"profile-{i}"}
        axes.plot(thresholds, profile(group.scores), **style)
        if len(group.runs) > 1:
            axes.fill_between(
                thresholds, *percentile_bootstrap_interval(profile, group.scores), color=colour, alpha=0.2, lw=0
            )
    axes.set_xlabel("return")
    axes.set_ylabel("fraction of runs that score higher")
    axes.set_ylim(-0.03, 1.03)


def _draw_improvements(improvements: Sequence[Improvement], axes: Any) -> None:
    """Draws P(X > Y) of each pair of groups, with its interval, one below the other."""
    names = [f"{each.better.number} > {each.other.number}" for each in improvements]
    for row, each in enumerate(improvements):
        if each.interval is not None:
            axes.plot(each.interval, (row, row), color=COLOURS[0], lw=3, alpha=0.4, gid=f"interval-{row}")
        axes.plot([each.probability], [row], "o", color=COLOURS[0], gid=f"improvement-{row}")
    axes.axvline(0.5, color="#888888", lw=1, ls="--")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("P(X > Y)")


def draw_range(axes: Any, curves: Sequence[Curve], colour: str, **style: Any) -> None:
    """Draws the mean of curves as a line, and if there are several, a band from the lowest to the highest."""
    steps, values = on_common_steps(curves)
    axes.plot(steps, values.mean(axis=0), marker=marker(steps), color=colour, **style)
    if len(values) > 1:
        axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, lw=0)


def label_curves(axes: Any) -> None:
    """Labels the axes of curves of returns over environment steps."""
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return per episode")
    axes.xaxis.set_major_formatter(lambda steps, _: _thousands(steps))


def marker(steps: np.ndarray, shape: str = "o") -> str | None:
    """The marker of a curve's points: `shape` for a single point, which a line would not show, else None."""
    return shape if len(steps) == 1 else None


def _thousands(steps: float) -> str:
    """A number of steps in thousands or millions, such as 20k or 1.5M."""
    if steps >= 1e6:
        return f"{steps / 1e6:g}M"
    return f"{steps / 1e3:g}k" if steps >= 1e3 else f"{steps:g}"
