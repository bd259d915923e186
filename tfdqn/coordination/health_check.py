"""`health`: whether processes of this host live, by the signs of life that they leave."""

import os
from pathlib import Path
from typing import NamedTuple

from tfdqn.cluster.roles import ProcessId
from tfdqn.coordination.heartbeat_files import (
    HeartbeatRecord,
    heartbeat_file,
    heartbeat_folder,
    read_heartbeat,
    silence_limit_seconds,
)


class Finding(NamedTuple):
    """What there is to say of a process."""

    line: str
    is_well: bool


def health_of(process_id: ProcessId, folder: Path | None, within_seconds: float) -> Finding:
    """Of one process of a job.

    Args:
      folder: where the signs of life are; None: where processes leave them that nobody has told.
      within_seconds: an older sign is none.
    """
    file = heartbeat_file(process_id, folder)
    sign = read_heartbeat(file)
    if sign is None:
        return Finding(f"{process_id}: no sign of life in {file}: it has not started, or has ended", False)
    return _judged(sign, within_seconds)


def health_of_all(folder: Path | None, within_seconds: float) -> list[Finding]:
    """Of each process that has left signs of life there and has not ended, or one that says that there is none."""
    folder = folder or heartbeat_folder()
    signs = filter(None, map(read_heartbeat, sorted(folder.glob("*.json"))))
    found = [_judged(sign, within_seconds) for sign in signs if _is_there(sign.pid)]
    return found or [Finding(f"nobody gives signs of life in {folder}", False)]


def _judged(sign: HeartbeatRecord, within_seconds: float) -> Finding:
    silent_seconds = sign.age_seconds()
    is_well = 0 <= silent_seconds <= silence_limit_seconds(sign.state, within_seconds)
    how = sign.state if is_well else f"silent for {silent_seconds:.0f} s, after {sign.state}"
    if silent_seconds < 0:
        how = f"its sign of life is of {-silent_seconds:,.0f} s in the future: a clock was set, or it is another host's"
    return Finding(f"{sign.name}: {how} (process {sign.pid})", is_well)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
