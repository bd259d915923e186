"""`Summary`: what a run came to, as `summary.json` keeps it."""

import json
from pathlib import Path

import msgspec

from tfdqn.records import Standing, Summary
from tfdqn.storage.atomic_files import write_atomically


def write_summary(file: Path, summary: Summary) -> None:
    """Keeps what it left by its place in the run, which may be moved. Raises RunDirError where it can't be written."""
    inside = {name: str(Path(path).relative_to(file.parent)) for name, path in summary.paths.items()}
    summary = msgspec.structs.replace(summary, paths=inside)
    write_atomically(file, msgspec.json.format(msgspec.json.encode(summary), indent=2))


def read_summary(file: Path) -> Summary | None:
    """What the run has left, where it lies now; None where it has not finished, or another version wrote it."""
    try:
        summary = msgspec.json.decode(file.read_bytes(), type=Summary)
    except (OSError, msgspec.MsgspecError):
        return None
    paths = {name: str(file.parent / path) for name, path in summary.paths.items()}
    return msgspec.structs.replace(summary, paths=paths)


def read_standing(path: Path) -> Standing:
    """What the lines of an `EvaluationLog` say; a damaged one counts for nothing."""
    env_steps = without_best = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            env_steps, is_best = int(record["env_steps"]), bool(record["is_best"])
        except (ValueError, KeyError, TypeError):
            continue  # half a line: its writer was killed
        without_best = 0 if is_best else without_best + 1
    return Standing(env_steps, without_best)
