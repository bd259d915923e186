"""`health`: whether processes of this host live, by the signs of life that they leave."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from tfdqn.beat_files import beat_file, beat_folder, may_be_silent_seconds, read_sign
from tfdqn.command_signs import read_command_sign
from tfdqn.topology import Member


class Finding(NamedTuple):
    """What there is to say of a process."""

    line: str
    is_well: bool


def health_of(member: Member, folder: Path | None, within_seconds: float) -> Finding:
    """Of one process of a job.

    Args:
      folder: where the signs of life are; None: where processes leave them that nobody has told.
      within_seconds: an older sign is none.
    """
    file = beat_file(member, folder)
    sign = read_sign(file)
    if sign is None:
        return Finding(f"{member}: no sign of life in {file}: it has not started, or has ended", False)
    allowed_seconds = may_be_silent_seconds(sign.state, within_seconds)
    return _judged(str(member), sign.state, sign.pid, sign.seconds, allowed_seconds)


def health_of_all(folder: Path | None, within_seconds: float) -> list[Finding]:
    """Of each process that has left signs of life there and has not ended, or one that says that there is none."""
    folder = folder or beat_folder()
    findings = []
    for file in sorted(folder.glob("*.json")):
        if sign := read_sign(file):
            name, state, pid, seconds = str(sign.member), sign.state, sign.pid, sign.seconds
        elif command := read_command_sign(file):
            name, state, pid, seconds = command.command, "running", command.pid, command.seconds
        else:
            continue
        if _is_there(pid):
            allowed_seconds = may_be_silent_seconds(state, within_seconds)
            findings.append(_judged(name, state, pid, seconds, allowed_seconds))
    return findings or [Finding(f"nobody gives signs of life in {folder}", False)]


def _judged(name: str, state: str, pid: int, written_seconds: float, allowed_seconds: float) -> Finding:
    silent_seconds = max(time.time() - written_seconds, 0.0)
    is_well = silent_seconds <= allowed_seconds
    how = state if is_well else f"silent for {silent_seconds:.0f} s, after {state}"
    return Finding(f"{name}: {how} (process {pid})", is_well)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
