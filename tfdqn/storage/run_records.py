"""`Summary`: what a run came to, as `summary.json` keeps it."""

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from tfdqn.evaluation.bootstrap import EpisodeScores
from tfdqn.storage.atomic_files import write_atomically


class Summary(Struct, frozen=True, kw_only=True):
    """What a run came to; `summary.json` once it has finished."""

    status: Literal["finished", "interrupted", "already finished"]
    reason: str  # why training ended
    env_steps: int
    train_steps: int
    episodes: int
    seconds: float  # of training, all sessions of the run together
    best_return: float | None  # mean greedy return of the best evaluation
    environment_restarts: int = 0  # environments that failed and were made anew
    final: EpisodeScores | None = None  # the best policy on fresh episodes
    paths: dict[str, str] = {}  # what the run left


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
