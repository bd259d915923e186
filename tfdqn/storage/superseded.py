"""What a run wrote beyond the checkpoint at which it is taken up again: it goes that way once more, so it is put aside.

Lines go to a file beside theirs, `metrics.superseded.jsonl`, so that curves never go back and nothing is lost. What
was kept by its own right stays: the best policy with its scores, exports.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from tfdqn.storage.atomic_files import ends_torn, write_atomically


def put_aside(files: Mapping[Path, int]) -> str:
    """Moves the lines of each file that were written after so many environment steps.

    Returns in words what was moved, nothing where nothing was. Raises RunDirError where it can't be written.
    """
    moved = {file: count for file, env_steps in files.items() if (count := _move(file, env_steps))}
    if not moved:
        return ""
    which = ", ".join(f"{count:,} of {file.name} to {_aside(file).name}" for file, count in moved.items())
    return f"lines from after the checkpoint were put aside: {which}"


def _aside(file: Path) -> Path:
    return file.with_name(f"{file.stem}.superseded{file.suffix}")


def _move(file: Path, env_steps: int) -> int:
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    beyond = [_is_beyond(line, env_steps) for line in lines]
    if not any(beyond):
        return 0
    superseded = [line.rstrip() + b"\n" for line, is_beyond in zip(lines, beyond, strict=True) if is_beyond]
    with _aside(file).open("ab") as aside:
        if ends_torn(_aside(file)):
            aside.write(b"\n")
        aside.writelines(superseded)
        aside.flush()
        os.fsync(aside.fileno())  # before they leave the other: killed in between, they are in both
    kept = [line for line, is_beyond in zip(lines, beyond, strict=True) if not is_beyond]
    write_atomically(file, b"".join(kept))
    return len(superseded)


def _is_beyond(line: bytes, env_steps: int) -> bool:
    try:
        return bool(json.loads(line)["env_steps"] > env_steps)
    except (ValueError, KeyError, TypeError):
        return False  # half a line: its writer was killed
