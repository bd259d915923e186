"""Learning curves as pictures: what runs left in `evaluations.jsonl` and `metrics.jsonl`, drawn to PNG."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tfdqn.config import toml
from tfdqn.errors import RunDirError, UserError
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.json_lines import read_lines
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_evaluations

# Okabe and Ito's palette, told apart by colour-blind readers too (jfly.uni-koeln.de/color).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_KEYS_IN_LABEL = 3


class Curve(NamedTuple):
    """Values over environment steps."""

    env_steps: np.ndarray  # int64[N], ascending
    values: np.ndarray  # float64[N]


class RunCurves(NamedTuple):
    """One run's curves."""

    configuration: str  # without its seed, as JSON: equal for runs that differ in the seed alone
    evaluation: Curve  # greedy return
    acting: Curve  # return while acting, exploration included


def plot(run_dirs: Sequence[RunDir | Path | str], output: Path | str | None = None) -> Path:
    """Draws the runs' learning curves; runs that differ in the seed alone become one mean with a band.

    Args:
      run_dirs: one or more runs.
      output: the PNG; by default the learning curve of the first run.

    Raises RunDirError where a run has nothing to draw yet, or the picture can't be written, and UserError where
    `output` can't be a PNG's name.
    """
    path = RunDir.at(run_dirs[0]).learning_curve if output is None else Path(output)
    if path.is_dir() or path.suffix.lower() != ".png":
        kind = "a directory" if path.is_dir() else "not a PNG's name"
        raise UserError(f"{path} is {kind}: give a file such as learning_curves.png")
    # Where it keeps its cache if the usual place can't be written is nobody's concern.
    logging.getLogger("matplotlib").addFilter(lambda record: record.funcName != "_get_config_or_cache_dir")
    groups = _grouped([_read(RunDir.at(run)) for run in run_dirs])
    import matplotlib.figure  # its import costs most of a second

    figure = matplotlib.figure.Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for colour, (label, runs) in zip(cycle(_COLOURS), groups.items(), strict=False):
        _draw(axes, label, runs, colour)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return per episode")
    axes.xaxis.set_major_formatter(lambda steps, _: _thousands(steps))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, loc="best")
    picture = BytesIO()
    figure.savefig(picture, format="png")
    write_atomically(path, picture.getvalue())
    return path


def curve(points: Iterable[tuple[int | None, float | None]]) -> Curve:
    """A quantity over environment steps; a resumed run's points replace those that it went back behind."""
    kept: list[tuple[int, float]] = []
    for env_steps, value in points:
        if env_steps is None or value is None:
            continue
        while kept and kept[-1][0] >= env_steps:
            kept.pop()
        kept.append((env_steps, value))
    return Curve(np.array([x for x, _ in kept], np.int64), np.array([y for _, y in kept], np.float64))


def _read(run: RunDir) -> RunCurves:
    without_seed = msgspec.to_builtins(msgspec.structs.replace(run.config(), seed=0))
    curves = RunCurves(
        configuration=json.dumps(without_seed, sort_keys=True),
        evaluation=curve((each.env_steps, each.mean_return) for each in read_evaluations(run.evaluations_file)),
        acting=curve((each.get("env_steps"), each.get("episode_return")) for each in read_lines(run.metrics_file)),
    )
    if not curves.evaluation.values.size and not curves.acting.values.size:
        raise RunDirError(f"{run.path} has nothing to draw yet: no evaluation and no finished episode")
    return curves


def _grouped(runs: Sequence[RunCurves]) -> Mapping[str, list[RunCurves]]:
    """Runs by a short label that says in what their configurations differ."""
    groups: dict[str, list[RunCurves]] = {}
    for run in runs:
        groups.setdefault(run.configuration, []).append(run)
    labels = _short_labels([json.loads(configuration) for configuration in groups])
    return dict(zip(labels, groups.values(), strict=True))


def _short_labels(configurations: list[dict]) -> list[str]:
    """Each configuration by its task and agent; where two share those, also by keys in which they differ."""
    flat = [toml.flat(configuration) for configuration in configurations]
    names = [f"{each['task.id']} {each['agent.kind'].replace('_', ' ')}" for each in flat]
    labels = []
    for each, name in zip(flat, names, strict=True):
        alike = [other for other, other_name in zip(flat, names, strict=True) if other_name == name]
        differing = sorted({key for other in alike for key in other if other[key] != each.get(key)})
        shown = [f"{key}={each.get(key, 'none')}" for key in differing[:_KEYS_IN_LABEL]]
        labels.append(", ".join([name, *shown, *(["…"] if len(differing) > _KEYS_IN_LABEL else [])]))
    return labels


def _draw(axes: Any, label: str, runs: list[RunCurves], colour: str) -> None:
    """Greedy evaluations as a line (several seeds: their mean, and a band from minimum to maximum); training thin."""
    evaluations = [run.evaluation for run in runs if run.evaluation.values.size]
    acting = [run.acting for run in runs if run.acting.values.size]
    seeds = "" if len(runs) == 1 else f" of {len(runs)} seeds"
    of_greedy, of_exploring = (f", mean and range{seeds}", f", mean{seeds}") if seeds else ("", "")
    if evaluations:
        steps, values = _on_common_steps(evaluations)
        marker = "o" if len(steps) == 1 else None  # a line of one point is invisible
        axes.plot(steps, values.mean(axis=0), marker=marker, color=colour, lw=2, label=f"{label}: greedy{of_greedy}")
        if len(evaluations) > 1:
            axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, lw=0)
    if acting:
        steps, values = _on_common_steps(acting)
        axes.plot(steps, values.mean(axis=0), color=colour, lw=1, ls=":", label=f"{label}: exploring{of_exploring}")


def _on_common_steps(curves: list[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """(steps int64[N], values float64[runs, N]) on the steps that every run has reached, by interpolation."""
    if len(curves) == 1:
        return curves[0].env_steps, curves[0].values[np.newaxis]
    first, last = max(c.env_steps[0] for c in curves), min(c.env_steps[-1] for c in curves)
    every = np.unique(np.concatenate([c.env_steps for c in curves]))
    steps = every[(every >= first) & (every <= max(last, first))]
    return steps, np.stack([np.interp(steps, c.env_steps, c.values) for c in curves])


def _thousands(steps: float) -> str:
    if steps >= 1e6:
        return f"{steps / 1e6:g}M"
    return f"{steps / 1e3:g}k" if steps >= 1e3 else f"{steps:g}"
