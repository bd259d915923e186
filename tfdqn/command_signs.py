"""Signs of life of processes that play no role of a job, or look after those who do: `train`, `launch`, `serve`.

They are given where `TFDQN_BEATS` names a folder, as the image does, for its health check.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import msgspec
from msgspec import Struct

from tfdqn.beat_files import VARIABLE

_PERIOD_SECONDS = 1.0


class CommandSign(Struct, frozen=True):
    """What the file says."""

    command: str
    pid: int
    seconds: float  # since the epoch, when it was written


@contextmanager
def signs_of_life(command: str) -> Iterator[None]:
    """Gives them while the block runs; where they can't be written, there are none."""
    named = os.environ.get(VARIABLE)
    if not named:
        yield
        return
    file = Path(named) / f"command-{os.getpid()}.json"
    is_over = Event()

    def give() -> None:
        with suppress(OSError):
            _write(file, command)
            while not is_over.wait(_PERIOD_SECONDS):
                _write(file, command)

    Thread(target=give, name="signs of life", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()
        with suppress(OSError):
            file.unlink(missing_ok=True)


def read_command_sign(file: Path) -> CommandSign | None:
    """What a process wrote last; None where there is nothing that can be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=CommandSign)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(file: Path, command: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}")
    partial.write_bytes(msgspec.json.encode(CommandSign(command, os.getpid(), time.time())))
    partial.replace(file)
