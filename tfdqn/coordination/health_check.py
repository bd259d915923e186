"""`health`: whether processes of this host live, by the heartbeats that they leave."""

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
      folder: where the heartbeats are; None: where processes leave them by default.
      within_seconds: an older heartbeat is none.
    """
    file = heartbeat_file(process_id, folder)
    heartbeat = read_heartbeat(file)
    if heartbeat is None:
        return Finding(f"{process_id}: no heartbeat in {file}: it has not started, or has ended", False)
    return _judged(heartbeat, within_seconds)


def health_of_all(folder: Path | None, within_seconds: float) -> list[Finding]:
    """Of each process that has left a heartbeat there and has not ended, or one that says that there is none."""
    folder = folder or heartbeat_folder()
    heartbeats = filter(None, map(read_heartbeat, sorted(folder.glob("*.json"))))
    found = [_judged(each, within_seconds) for each in heartbeats if _is_there(each.pid)]
    return found or [Finding(f"no process leaves heartbeats in {folder}", False)]


def _judged(heartbeat: HeartbeatRecord, within_seconds: float) -> Finding:
    silent_seconds = heartbeat.age_seconds()
    is_well = 0 <= silent_seconds <= silence_limit_seconds(heartbeat.state, within_seconds)
    how = heartbeat.state if is_well else f"silent for {silent_seconds:.0f} s, after {heartbeat.state}"
    if silent_seconds < 0:
        how = f"its heartbeat is of {-silent_seconds:,.0f} s in the future: a clock was set, or it is another host's"
    return Finding(f"{heartbeat.name}: {how} (process {heartbeat.pid})", is_well)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
