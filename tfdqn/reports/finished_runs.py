"""Reads finished runs for reports; for each run that can't be read, an error line says why."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from tfdqn.config import Config
from tfdqn.config.nearby_runs import run_above, why_no_folder
from tfdqn.errors import RunDirError, UserError, listed
from tfdqn.records import EpisodeScores, Summary
from tfdqn.reports.configurations import Configuration, compared
from tfdqn.reports.curves import Curve, curve
from tfdqn.reports.run_search import find_runs
from tfdqn.storage.completion import last_results, newest_checkpoint
from tfdqn.storage.recorded_config import recorded
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_folders import is_trial
from tfdqn.storage.run_records import EvaluationLine, read_evaluations, read_summary, trouble_with_summary

_VIDEO_SUFFIXES = (".mp4", ".gif")
_MOST_LIKEWISE = 2  # the most runs that are named besides the first for the same reason


class FinishedRun(NamedTuple):
    """A finished run and its results."""

    path: Path
    seed: int
    configuration: Configuration  # the keys by which it is grouped
    summary: Summary
    final: EpisodeScores  # of the best policy on fresh episodes
    lines: list[EvaluationLine]  # the evaluations during training, as they were written
    evaluation: Curve  # the mean returns of these evaluations
    videos: list[Path]  # the newest first

    @property
    def score(self) -> float:
        """The number by which runs are compared: the mean return of the best policy on fresh episodes."""
        return self.final.mean_return

    @property
    def env_steps_per_second(self) -> float:
        """Environment steps for each second of the whole training; NaN if no time was kept."""
        return self.summary.env_steps / self.summary.seconds if self.summary.seconds else math.nan

    def steps_to(self, threshold: float) -> float:
        """Environment steps at the first evaluation whose mean return reached `threshold`; infinite if none has."""
        reached = self.evaluation.env_steps[self.evaluation.values >= threshold]
        return float(reached[0]) if reached.size else math.inf


class _RefusedError(Exception):
    """A run that can't be used: the file or folder that is wrong, "" if the reason names it; and the reason."""

    def __init__(self, what: Path | str, reason: str):
        self.what, self.reason = str(what), reason


def require_several(paths: Any) -> None:
    """Raises UserError for a path in the place of several: of a str, each character would be one; and for none."""
    if isinstance(paths, str | Path | RunDir):
        raise UserError(f"runs: a list of paths is needed, such as [{str(paths)!r}], not {str(paths)!r} alone")
    if isinstance(paths, Sequence) and not paths:
        raise UserError("runs: the list of paths is empty")


def read_runs(paths: Iterable[Path | str], say: Callable[[str], None] | None = None) -> list[FinishedRun]:
    """Reads the finished runs at these paths; a run that is named twice counts once.

    Args:
      paths: run directories, or folders, up to five levels below which runs are searched for.
      say: if given, runs below a folder that can't be used are left out, and named in one line, as long as another run
        there can be used. None: they are errors.

    Raises UserError for a single path or an empty list, and RunDirError for each path without runs, each run that has
    not finished, can't be read by this version or has a return that is not finite, and each run that is a copy of
    another, or has repeated it; one line names them all.
    """
    require_several(paths)
    runs: dict[Path, FinishedRun] = {}
    refused: list[_RefusedError] = []
    left_out: list[_RefusedError] = []
    for path in map(Path, paths):
        found, unreadable = find_runs(path)
        troubles = [_RefusedError(folder, why) for folder, why in unreadable.items()]
        if not found and not troubles:
            why = why_no_folder(path) or f"is not a run directory, and has none in it{run_above(path)}"
            refused.append(_RefusedError(path, why))
        unusable = list(_take(found, runs))
        troubles += unusable
        (left_out if say is not None and len(unusable) < len(found) else refused).extend(troubles)
    refused += _copies(runs.values())
    if refused:
        raise RunDirError(_listed(refused))
    if say is not None and left_out:
        say(f"left out: {_listed(left_out)}")
    return list(runs.values())


def _take(found: Iterable[Path], runs: dict[Path, FinishedRun]) -> Iterator[_RefusedError]:
    """Adds each run to `runs` if it is not there yet. Yields the error of each that can't be used."""
    for each in found:
        try:
            if each.resolve() not in runs:
                runs[each.resolve()] = _read(RunDir(each))
        except _RefusedError as error:
            yield error
        except UserError as error:
            yield _RefusedError("", str(error))


def _copies(runs: Iterable[FinishedRun]) -> Iterator[_RefusedError]:
    """Yields an error for each copy of another run, and for each that has repeated another, bit for bit.

    A copy's files are equal, and they contain times.
    """
    copied: dict[tuple[bytes, ...], Path] = {}
    repeated: dict[bytes, Path] = {}
    for each in runs:
        run = RunDir(each.path)
        files = tuple(file.read_bytes() for file in (run.config_file, run.summary_file, run.evaluations_file))
        if (first := copied.setdefault(files, each.path)) != each.path:
            yield _RefusedError(each.path, f"is a copy of {first}: leave one of them out")
        elif is_trial(each.path):
            continue  # a search may choose the same values twice
        elif (first := repeated.setdefault(_results(each), each.path)) != each.path:
            yield _RefusedError(each.path, f"has repeated {first} with the same seed: leave one of them out")


def _results(run: FinishedRun) -> bytes:
    """What a run shares with one that repeats it, bit for bit: all but the times."""
    lines = [replace(line, seconds=None) for line in run.lines]
    return msgspec.json.encode((sorted(run.configuration.items()), run.seed, lines, run.final))


def _listed(refused: Iterable[_RefusedError]) -> str:
    """The errors in words, each reason once for all runs that share it."""
    by_reason: dict[str, dict[str, None]] = {}
    for each in refused:
        by_reason.setdefault(each.reason, {})[each.what] = None
    parts = []
    for reason, (first, *others) in by_reason.items():
        more = f" and {len(others) - _MOST_LIKEWISE} more" if len(others) > _MOST_LIKEWISE else ""
        likewise = f"; likewise {', '.join(others[:_MOST_LIKEWISE])}{more}" if others else ""
        parts.append(f"{first} {reason}".lstrip() + likewise)
    return listed(parts)


def _read(run: RunDir) -> FinishedRun:
    found = recorded(run)
    summary = _summary(run, found.config)
    lines = read_evaluations(run.evaluations_file)
    if not lines:
        raise _RefusedError(run.path, f"has no evaluation in {run.evaluations_file.name}")
    for line in lines:
        if line.mean_return is None or not math.isfinite(line.mean_return):
            where = f"{run.evaluations_file}, at {line.env_steps:,} environment steps"
            raise RunDirError(f"{where}: the return is not finite")
    if summary.final is None:
        raise _RefusedError(run.path, f"has no final evaluation in {run.summary_file.name}")
    return FinishedRun(
        path=run.path,
        seed=found.config.seed,
        configuration=compared(found.values),
        summary=summary,
        final=summary.final,
        lines=lines,
        evaluation=curve((line.env_steps, line.mean_return) for line in lines),
        videos=_videos(run.videos),
    )


def _summary(run: RunDir, config: Config) -> Summary:
    summary, newest = read_summary(run.summary_file), newest_checkpoint(run)
    if summary is None and run.summary_file.exists():
        raise _RefusedError(run.summary_file, trouble_with_summary(run.summary_file))
    if summary is None or summary.status == "interrupted":
        raise _RefusedError(run.path, "has not finished: a report needs finished runs")
    is_older = newest is not None and newest.counters.train_steps < summary.train_steps  # that of the end is damaged
    if last_results(run, config, None if is_older else newest) is None:
        raise _RefusedError(run.path, "was started again after it had finished, and has not finished since")
    return summary


def _videos(folder: Path) -> list[Path]:
    """The videos, the newest first: they are numbered; one that is being recorded isn't yet."""
    files = folder.iterdir() if folder.is_dir() else ()
    videos = [each for each in files if each.suffix in _VIDEO_SUFFIXES and each.stem.isdecimal()]
    return sorted(videos, key=lambda each: int(each.stem), reverse=True)
