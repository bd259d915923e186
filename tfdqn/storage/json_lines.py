"""Files of JSON lines: appended to, read, and cut back to the checkpoint from which a run is resumed."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tfdqn.storage.atomic_files import write_atomically

_LAST_LINES_BYTES = 20_000


def append_line(file: Path, record: Mapping[str, object]) -> None:
    """Appends a record as a line, even after a partial line of a killed writer. Non-finite numbers become null."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    line = json.dumps(finite, allow_nan=False) + "\n"
    with file.open("a", encoding="utf-8") as lines:
        lines.write("\n" + line if _ends_torn(file) else line)


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yields the records of a file; none if there is no file. A partial line of a killed writer is skipped."""
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    for line in content.splitlines():
        if (record := _record(line)) is not None:
            yield record


def read_last_line(file: Path) -> dict[str, Any] | None:
    """The last complete record of a file, whose lines must not be very long; None if there is none."""
    with suppress(OSError), file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - _LAST_LINES_BYTES))
        records = map(_record, reversed(content.read().splitlines()))
        return next((record for record in records if record is not None), None)
    return None


def put_aside(files: Mapping[Path, int]) -> str:
    """Moves lines that a resumed run will write again to a second file beside each file.

    So curves never go back in time, and no line is lost.

    Args:
      files: by file, the environment steps from which the run goes on: later lines are moved; -1: all lines are.

    Returns what was moved, in words; "" if nothing was. Raises RunDirError if a file can't be written.
    """
    moved = {file: count for file, env_steps in files.items() if (count := _move(file, env_steps))}
    if not moved:
        return ""
    which = ", ".join(f"{count:,} of {file.name} to {_aside(file).name}" for file, count in moved.items())
    return f"lines of the steps that are taken again were put aside: {which}"


def _ends_torn(file: Path) -> bool:
    """Whether the last line is incomplete, because its writer was killed."""
    if not file.stat().st_size:
        return False
    with file.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        return content.read(1) != b"\n"


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:  # UnicodeDecodeError is one too
        return None
    return record if isinstance(record, dict) else None


def _aside(file: Path) -> Path:
    return file.with_name(f"{file.stem}.superseded{file.suffix}")


def _move(file: Path, env_steps: int) -> int:
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    beyond = [_is_beyond(line, env_steps) for line in lines]
    if not any(beyond):
        return 0
    superseded = [line.rstrip() + b"\n" for line, is_beyond in zip(lines, beyond, strict=True) if is_beyond]
    with _aside(file).open("ab") as aside:
        if _ends_torn(_aside(file)):
            aside.write(b"\n")
        aside.writelines(superseded)
        aside.flush()
        os.fsync(aside.fileno())  # before they are removed: if killed in between, they are in both files
    kept = [line for line, is_beyond in zip(lines, beyond, strict=True) if not is_beyond]
    write_atomically(file, b"".join(kept))
    return len(superseded)


def _is_beyond(line: bytes, env_steps: int) -> bool:
    record = _record(line)
    at = None if record is None else record.get("env_steps")
    return isinstance(at, int | float) and at > env_steps
