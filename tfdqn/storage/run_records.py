"""A run's records: its summary in `summary.json`, its reports in `metrics.jsonl`, its evaluations in
`evaluations.jsonl`, its end in `end.json`."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from tfdqn.records import Evaluation, Standing, Summary
from tfdqn.storage.atomic_files import read_decoded, write_atomically
from tfdqn.storage.json_lines import append_line, read_last_line, read_lines

# Made once, at import: msgspec crashes if two threads make a decoder of the same type at the same time.
_summaries = msgspec.json.Decoder(Summary)


class Outcome(StrEnum):
    """How the training of a run ended."""

    FINISHED = "finished"
    STOPPED = "stopped"  # on request; it can be resumed
    FAILED = "failed"


class RunEnd(msgspec.Struct, frozen=True):
    """How the training of a run ended, and why."""

    outcome: Outcome
    is_saved: bool  # whether it saved a checkpoint as it ended
    why: str  # why it failed, or what has stopped it, in one line; "": not known
    needs_another_run: bool = False  # its configuration made it fail, and can no longer change


_ends = msgspec.json.Decoder(RunEnd)


class EvaluationLine(msgspec.Struct, frozen=True):
    """An evaluation in `evaluations.jsonl`, in the order of its keys; read back, None: not known, or not finite."""

    env_steps: int
    train_steps: int | None = None
    seconds: float | None = None  # of training until then
    mean_return: float | None = None
    std_return: float | None = None
    mean_length: float | None = None
    episodes: int | None = None
    is_best: bool = False


class ProgressLine(msgspec.Struct, frozen=True):
    """What training reports every few seconds, as far as it is read back."""

    env_steps: int = 0
    train_steps: int = 0
    seconds: float = 0.0  # of training until then
    env_steps_per_second: float = 0.0
    episode_return: float | None = None  # mean of the recent episodes, exploration included; None: not known
    unix_seconds: int | None = None  # when it was written; None: an earlier version of tfdqn did not say it


def read_progress(file: Path) -> ProgressLine | None:
    """The last whole report in `metrics.jsonl`; None if there is none, or it is damaged."""
    line = read_last_line(file)
    return None if line is None else _progress(line)


def read_reports(file: Path) -> Iterator[ProgressLine]:
    """The reports in a `metrics.jsonl`; none if there is no file. Damaged ones are skipped."""
    return (found for line in read_lines(file) if (found := _progress(line)) is not None)


def _progress(line: Mapping[str, Any]) -> ProgressLine | None:
    """A report; None if its types are wrong, or it doesn't say at which environment step it was made."""
    known = {name: line[name] for name in ProgressLine.__struct_fields__ if line.get(name) is not None}
    with suppress(msgspec.ValidationError):
        return msgspec.convert(known, ProgressLine) if "env_steps" in known else None
    return None


def write_summary(file: Path, summary: Summary) -> None:
    """Writes the summary, with paths relative to the run, which may be moved. Raises RunDirError if that fails."""
    inside = {name: str(Path(path).relative_to(file.parent)) for name, path in summary.paths.items()}
    summary = msgspec.structs.replace(summary, paths=inside)
    write_atomically(file, msgspec.json.format(msgspec.json.encode(summary), indent=2))


def read_summary(file: Path) -> Summary | None:
    """The run's summary, with paths as they are now; None if it has not finished, or another version wrote it."""
    summary = read_decoded(file, _summaries.decode)
    if summary is None:
        return None
    paths = {name: str(file.parent / path) for name, path in summary.paths.items()}
    return msgspec.structs.replace(summary, paths=paths)


def trouble_with_summary(file: Path) -> str:
    """What is wrong with a summary that `read_summary` can't read, in words that follow the file's name."""
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        values = None
    if key := next(_not_finite(values), ""):
        return f"has a number that is not finite: {key}"
    return "is damaged, or another version of tfdqn has written it"


def _not_finite(value: Any, key: str = "") -> Iterator[str]:
    """The keys of NaN and infinite numbers. No run writes them; JSON has none, but Python reads them."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _not_finite(each, f"{key}.{name}".lstrip("."))


def write_end(file: Path, end: RunEnd) -> None:
    """Notes how a run ended. Raises RunDirError if that fails."""
    write_atomically(file, msgspec.json.encode(end))


def read_end(file: Path) -> RunEnd | None:
    """How the run ended; None if nothing is noted that can be read."""
    return read_decoded(file, _ends.decode)


def why_failed(file: Path) -> str:
    """Why the run failed, by its `end.json`; "" if it is not known to have failed, or was trained again since."""
    return _why(file, Outcome.FAILED)


def why_stopped(file: Path) -> str:
    """As `why_failed`: what has stopped the run, such as a signal."""
    return _why(file, Outcome.STOPPED)


def _why(file: Path, outcome: Outcome) -> str:
    end = read_end(file)
    return end.why if end is not None and end.outcome is outcome else ""


def append_evaluation(file: Path, evaluation: Evaluation, seconds: float) -> None:
    """Appends an evaluation that was made after `seconds` of training."""
    scores = evaluation.scores
    line = EvaluationLine(
        env_steps=evaluation.env_steps,
        train_steps=evaluation.train_steps,
        seconds=round(seconds, 3),
        mean_return=scores.mean_return,
        std_return=scores.std_return,
        mean_length=scores.mean_length,
        episodes=scores.episodes,
        is_best=evaluation.is_best,
    )
    append_line(file, msgspec.structs.asdict(line))


def read_evaluations(file: Path) -> list[EvaluationLine]:
    """The lines of an `evaluations.jsonl`; none if there is no file. Damaged lines are skipped."""
    found = []
    for record in read_lines(file):
        with suppress(msgspec.ValidationError):
            found.append(msgspec.convert(record, EvaluationLine))
    return found


def read_standing(file: Path) -> Standing:
    """The standing of the evaluations in an `evaluations.jsonl`."""
    return standing_after(read_evaluations(file))


def standing_after(lines: Iterable[EvaluationLine]) -> Standing:
    """The standing after these evaluations."""
    standing = Standing()
    for line in lines:
        standing = Standing(line.env_steps, line.train_steps, 0 if line.is_best else standing.without_best + 1)
    return standing
