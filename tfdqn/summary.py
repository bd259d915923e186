"""`Summary`: what a run came to, as `summary.json` keeps it."""

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from tfdqn.durable import write_atomically
from tfdqn.scores import EpisodeScores


class Summary(Struct, frozen=True, kw_only=True):
    """What a run came to; `summary.json` once it has finished."""

    status: Literal["finished", "interrupted", "already finished"]
    reason: str  # why training ended
    env_steps: int
    train_steps: int
    episodes: int
    seconds: float  # of training, all sessions of the run together
    best_return: float | None  # mean greedy return of the best evaluation
    final: EpisodeScores | None = None  # the best policy on fresh episodes
    paths: dict[str, str] = {}  # what the run left


def write_summary(file: Path, summary: Summary) -> None:
    """Raises RunDirError where it can't be written."""
    write_atomically(file, msgspec.json.format(msgspec.json.encode(summary), indent=2))


def read_summary(file: Path) -> Summary | None:
    """None where the run has not finished, or another version wrote it."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Summary)
    except (OSError, msgspec.MsgspecError):
        return None
