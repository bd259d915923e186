"""Curves over environment steps: of one run, and of several runs on common steps."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np


class Curve(NamedTuple):
    """Values over environment steps."""

    env_steps: np.ndarray  # int64[N], ascending
    values: np.ndarray  # float64[N]


def curve(points: Iterable[tuple[int | None, float | None]]) -> Curve:
    """The curve of points (environment steps, value), as they were written; those that lack either are dropped.

    Where a resumed run has gone back to an earlier step, its points replace those from there on.
    """
    kept: list[tuple[int, float]] = []
    for env_steps, value in points:
        if env_steps is None or value is None:
            continue
        while kept and kept[-1][0] >= env_steps:
            kept.pop()
        kept.append((env_steps, value))
    return Curve(np.array([x for x, _ in kept], np.int64), np.array([y for _, y in kept], np.float64))


def on_common_steps(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """(steps int64[N], values float64[runs, N]) of curves, interpolated on the steps that all of them cover."""
    if len(curves) == 1:
        return curves[0].env_steps, curves[0].values[np.newaxis]
    first, last = max(c.env_steps[0] for c in curves), min(c.env_steps[-1] for c in curves)
    every = np.unique(np.concatenate([c.env_steps for c in curves]))
    steps = every[(every >= first) & (every <= max(last, first))]
    return steps, np.stack([np.interp(steps, c.env_steps, c.values) for c in curves])


def averaged(found: Curve, most: int) -> Curve:
    """The curve with at most `most` points: if it has more, the means over intervals of equally many steps."""
    if len(found.env_steps) <= most:
        return found
    first, last = found.env_steps[0], found.env_steps[-1]
    interval = np.minimum((found.env_steps - first) * most // (last - first), most - 1)
    starts = np.flatnonzero(np.diff(interval, prepend=-1))
    counts = np.diff(starts, append=len(interval))
    return Curve(np.add.reduceat(found.env_steps, starts) // counts, np.add.reduceat(found.values, starts) / counts)
