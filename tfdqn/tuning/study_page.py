"""`write_page`: writes a study as one HTML page with pictures: history, importance of keys, slices."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tfdqn.config import toml
from tfdqn.reports.group_table import precision
from tfdqn.reports.html import document, table
from tfdqn.reports.pictures import COLOURS, Picture, svg
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.tuning.search_space import Choices, Dimensions, NumberRange
from tfdqn.tuning.study import Study
from tfdqn.tuning.trial_records import Trial, TrialState, best_of, counts_by_state, in_words, value_in_short

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes

_BLUE, _ORANGE, *_, _GREY = COLOURS
_COLOURS = "cool"  # Matplotlib's, from light blue to pink: each is seen on light and dark pages alike
_STYLE = """
.table { overflow-x: auto } .table td { white-space: nowrap }
.slices { display: flex; flex-wrap: wrap } .slices > svg { width: 20rem; max-width: 100% }
"""
_IMPORTANCE = (
    "How far the best tenth of the trials differs in a key from all of them, by PED-ANOVA (Watanabe et al. 2023, "
    "arXiv:2304.10255); with few trials it says little."
)
_NO_IMPORTANCE = "This needs two or more complete trials with different scores."
_SLICES = "The scores over each key, from early trials, light blue, to late ones, pink."
_PARALLEL = "A line for each complete trial, drawn from key to key: the worst light blue, the best pink."


def write_page(study: Study) -> None:
    """Writes the page of the study so far. Raises RunDirError if that fails."""
    trials = study.trials()
    write_atomically(study.folder.page, page(study.folder.name, trials, study).encode())


def page(name: str, trials: Sequence[Trial], study: Study) -> str:
    """The whole page as self-contained HTML."""
    best, keys = best_of(trials), study.space.dimensions
    scores = {each.score for each in trials if each.score is not None}
    parts = []
    if best is not None:
        importances = study.importances() if len(scores) > 1 else {}
        drawn = {name: svg(each, name) for name, each in pictures(trials, keys, importances).items()}
        slices = "".join(each for name, each in drawn.items() if name.startswith("slice-"))
        how_good = f"Trial {best.number}, whose final evaluation had a mean return of {best.score:,.2f}"
        importance = (_IMPORTANCE, _figure(drawn["importance"])) if importances else (_NO_IMPORTANCE,)
        values = table(["key", "value"], [[key, toml.written(each)] for key, each in best.values.items()], "best-table")
        parts = [
            _section("The best", f"{how_good}, with these values:", values),
            _section("History", "Each trial's score, and the best so far.", _figure(drawn["history"])),
            _section("Importance", *importance),
            _section("Parallel coordinates", _PARALLEL, _figure(drawn["parallel"])),
            _section("Slices", _SLICES, _figure(slices, "slices")),
        ]
    parts.append(_section("Trials", f"{', '.join(in_words(counts_by_state(trials)))}.", _table(trials, list(keys))))
    return document(f"Search: {name}", parts, _STYLE)


def _section(heading: str, text: str, content: str = "") -> str:
    return f"<h2>{heading}</h2>\n<p>{text}</p>\n{content}"


def _figure(content: str, kind: str = "picture") -> str:
    return f'<figure class="{kind}">{content}</figure>'


def _table(trials: Sequence[Trial], keys: Sequence[str]) -> str:
    rows = [
        [
            str(each.number),
            each.state,
            "" if each.score is None else f"{each.score:,.2f}",
            *(value_in_short(each.values[key]) if key in each.values else "" for key in keys),
            each.why,
        ]
        for each in sorted(trials, key=lambda each: (each.score is None, -(each.score or 0.0), each.number))
    ]
    return f'<div class="table">{table(["trial", "state", "score", *keys, "reason"], rows, "trials-table")}</div>'


def pictures(trials: Sequence[Trial], dimensions: Dimensions, importances: Mapping[str, float]) -> dict[str, Picture]:
    """The pictures by name, for a study with complete trials. Importances are left out if they are not known."""
    found = {"history": Picture(partial(draw_history, trials))}
    if importances:
        bars = partial(draw_importances, importances)
        found["importance"] = Picture(bars, height=0.8 + 0.3 * len(importances))
    lines = partial(draw_parallel_coordinates, trials, dimensions)
    found["parallel"] = Picture(lines, width=max(5.0, 1.0 + 0.9 * len(dimensions)))
    for key, dimension in dimensions.items():
        slice_of_key = partial(draw_slice, trials, key, dimension)
        found[f"slice-{key.replace('.', '-')}"] = Picture(slice_of_key, height=2.4, width=3.4)
    return found


def draw_history(trials: Sequence[Trial], axes: "Axes") -> None:
    """Scores over trials' numbers, with the best so far. Pruned trials show their last evaluation."""
    from matplotlib.ticker import MaxNLocator

    axes.set(xlabel="trial", ylabel="mean return")
    _whole_labels(axes)
    complete = _complete(trials)
    scores = _scores(complete)
    numbers = [each.number for each in complete]
    axes.plot(numbers, scores, "o", color=_BLUE, label="complete")
    axes.plot(numbers, np.maximum.accumulate(scores), color=_ORANGE, drawstyle="steps-post", label="best so far")
    pruned = [each for each in trials if each.state is TrialState.PRUNED and each.returns]
    if pruned:
        last = [each.returns[max(each.returns)] for each in pruned]
        axes.plot([each.number for each in pruned], last, "x", color=_GREY, label="pruned, at its last evaluation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)


def draw_importances(importances: Mapping[str, float], axes: "Axes") -> None:
    """Bars, the most important key on top."""
    axes.set_xlabel("importance")
    bars = axes.barh(list(importances), list(importances.values()), color=_BLUE)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.1)


def draw_parallel_coordinates(trials: Sequence[Trial], dimensions: Dimensions, axes: "Axes") -> None:
    """An axis for each key, the score's last; a line for each complete trial."""
    from matplotlib import colormaps

    complete = sorted(_complete(trials), key=lambda each: each.score or 0.0)
    scores = _unit(_scores(complete))
    columns = [_positions(complete, key, dimension) for key, dimension in dimensions.items()]
    for index in range(len(complete)):
        heights = [*(column[index] for column in columns), scores[index]]
        axes.plot(heights, color=colormaps[_COLOURS](scores[index]), alpha=0.8)
    for place, dimension in enumerate(dimensions.values()):
        axes.axvline(place, color=_GREY, lw=0.8)
        for height, label in _ends(dimension):
            axes.annotate(label, (place, height), (3, 3), textcoords="offset points", fontsize=7)
    axes.axvline(len(columns), color=_GREY, lw=0.8)
    returns = [complete[index].score or 0.0 for index in (0, -1)]
    form = precision(returns)
    ends = dict(zip(scores[[0, -1]], (format(each, form) for each in returns), strict=True))  # one if all are equal
    for height, label in ends.items():
        axes.annotate(label, (len(columns), height), (3, 3), textcoords="offset points", fontsize=7)
    names = [*(key.replace(".", ".\n") for key in dimensions), "mean\nreturn"]
    axes.set_xticks(range(len(names)), names, fontsize=7)
    axes.set_yticks([])
    axes.set_ylim(-0.05, 1.05)
    axes.spines[:].set_visible(False)


def draw_slice(trials: Sequence[Trial], key: str, dimension: NumberRange | Choices, axes: "Axes") -> None:
    """Scores over a key's values."""
    axes.set_xlabel(key)
    _whole_labels(axes)
    has = [each for each in _complete(trials) if key in each.values]
    numbers = [each.number for each in has]
    axes.scatter(_abscissae(axes, has, key, dimension), _scores(has), c=numbers, cmap=_COLOURS)


def _complete(trials: Sequence[Trial]) -> list[Trial]:
    return [each for each in trials if each.score is not None]


def _scores(complete: Sequence[Trial]) -> np.ndarray:
    """float64[N]."""
    return np.array([each.score for each in complete], np.float64)


def _unit(values: np.ndarray) -> np.ndarray:
    """Scales values to [0, 1], float64[N]; all to 0.5 if they are equal."""
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread > 0 else np.full_like(values, 0.5)


def _whole_labels(axes: "Axes") -> None:
    """Labels ticks with whole scores, not with differences to an offset, even if the scores are nearly equal."""
    axes.ticklabel_format(axis="y", useOffset=False)


def _positions(trials: Sequence[Trial], key: str, dimension: NumberRange | Choices) -> np.ndarray:
    """The positions of the trials' values in the key's range, float64[N] from 0 to 1."""
    values = [each.values[key] for each in trials]
    if isinstance(dimension, Choices):
        return np.array([dimension.values.index(each) for each in values]) / (len(dimension.values) - 1)
    low, high = float(dimension.low), float(dimension.high)
    scaled = np.asarray(values, np.float64)
    if dimension.log:
        scaled, low, high = np.log(scaled), float(np.log(low)), float(np.log(high))
    return (scaled - low) / (high - low)


def _ends(dimension: NumberRange | Choices) -> list[tuple[float, str]]:
    """Labels by height, 0 to 1, of the key's axis."""
    if isinstance(dimension, Choices):
        last = len(dimension.values) - 1
        return [(index / last, toml.written(each)) for index, each in enumerate(dimension.values)]
    return [(0.0, f"{dimension.low:g}"), (1.0, f"{dimension.high:g}")]


def _abscissae(axes: "Axes", trials: Sequence[Trial], key: str, dimension: NumberRange | Choices) -> list[Any]:
    """The x coordinates of the trials' values; sets the axis' scale, limits and labels."""
    from matplotlib.ticker import LogFormatter, MaxNLocator

    values = [each.values[key] for each in trials]
    if isinstance(dimension, Choices):
        labels = [toml.written(each) for each in dimension.values]
        axes.set_xticks(range(len(labels)), labels, fontsize=7)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        return [dimension.values.index(each) for each in values]
    low, high = float(dimension.low), float(dimension.high)
    if dimension.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(LogFormatter())  # the default's labels are formulas, which pictures don't show
        axes.xaxis.set_minor_formatter(LogFormatter())
        margin = (high / low) ** 0.04
        axes.set_xlim(low / margin, high * margin)
        return values
    axes.set_xlim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    if isinstance(dimension.low, int):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return values
