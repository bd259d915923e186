"""A process's heartbeat on its own host: a file that is rewritten every second, for `health` and supervisors.

The files lie in a folder of the host's, `TFDQN_BEATS`, or one in the system's temporary folder.
"""

import errno
import math
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import msgspec
from msgspec import Struct

from tfdqn.cluster.roles import ProcessId
from tfdqn.errors import ClusterError
from tfdqn.storage.atomic_files import read_decoded
from tfdqn.storage.owners import owner_of_mark, this_kernel, this_process

VARIABLE = "TFDQN_BEATS"
# The state of a process that enters the rendezvous of lockstep processes: until the last one has arrived, TensorFlow
# blocks every thread of the process, including that of the heartbeat.
MEETING = "meeting the others"
STARTING = "starting"  # the state of a process whose role is imported
_MEETING_SECONDS = 60.0
_FIRST_SECONDS = 60.0  # how long `health` waits at least for a process's first heartbeat: Python may be slow to start
_PERIOD_SECONDS = 1.0
_MAX_AHEAD_SECONDS = 1.0  # by which clocks may differ


def silence_limit_seconds(state: str, dead_after_seconds: float) -> float:
    """How long a process may be silent before it counts as dead; longer if its last state was the rendezvous."""
    return max(dead_after_seconds, _MEETING_SECONDS) if state == MEETING else dead_after_seconds


class HeartbeatRecord(Struct, frozen=True, kw_only=True):
    """The content of the file."""

    name: str  # of the process: "actor 1", or "train"
    pid: int  # 0: not known yet; the process was started, and has given no heartbeat itself
    state: str
    steps_per_second: float
    seconds: float  # since the epoch, when it was written
    patience_seconds: float = 0.0  # with pid 0: how long the process's own first heartbeat may take, if over a minute
    monotonic_seconds: float = 0.0  # the same time by `time.monotonic`, which is never set back
    clock: str = ""  # identifies that clock: the boot and the container; empty: unknown
    owner: str = ""  # the process, or who has started it, as `Owner.mark` has it; empty: unknown

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended; False also where that can't be seen from here."""
        owner = owner_of_mark(self.owner)
        return owner is not None and owner.is_running() is False

    def age_seconds(self) -> float:
        """The heartbeat's age. Negative if its time is clearly in the future, so that the age is unknown.

        The reason is that a clock was set back since, or that another host with another clock wrote it.
        """
        age = time.time() - self.seconds
        if age < -_MAX_AHEAD_SECONDS:
            return age
        if self.clock and self.clock == _this_clock():
            age = time.monotonic() - self.monotonic_seconds
        return age if age < -_MAX_AHEAD_SECONDS else max(age, 0.0)


_records = msgspec.json.Decoder(HeartbeatRecord)


def heartbeat_file(process_id: ProcessId, folder: Path | None = None) -> Path:
    """The file of a process's heartbeat. Raises ClusterError if the common folder may belong to another user."""
    return (folder or heartbeat_folder()) / f"{process_id.file_stem}.json"


def heartbeat_folder() -> Path:
    """The folder of this host's heartbeats. Raises ClusterError as `heartbeat_file`."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else _default_folder()


def write_heartbeat(
    file: Path, name: str, state: str, steps_per_second: float, pid: int | None = None, patience_seconds: float = 0.0
) -> None:
    """Writes a heartbeat with the present time, atomically, but without waiting for the disk.

    On a full disk it is written over the one before: a process is not dead for want of room. Raises OSError.

    `pid` is this process's unless it is given: 0 for a process that this one is about to start, and for whose own first
    heartbeat it waits for `patience_seconds`.
    """
    record = HeartbeatRecord(
        name=name,
        pid=os.getpid() if pid is None else pid,
        state=state,
        steps_per_second=steps_per_second,
        seconds=time.time(),
        patience_seconds=patience_seconds,
        monotonic_seconds=time.monotonic(),
        clock=_this_clock(),
        owner=this_process().mark,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    content, partial = msgspec.json.encode(record), file.with_name(f".{file.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        with suppress(OSError):
            partial.unlink()
        if not _write_over(file, content):
            raise
    else:
        partial.replace(file)


def _write_over(file: Path, content: bytes) -> bool:
    """Writes over a file that is there, whose place on the disk is used again; returns whether that was possible."""
    with suppress(OSError), file.open("r+b", buffering=0) as there:
        # At once, so that a reader finds all of it; spaces take the place of what the content before had more.
        return there.write(content.ljust(os.fstat(there.fileno()).st_size)) >= len(content)
    return False


class HeartbeatFile:
    """A process's heartbeat, which it writes repeatedly. If it can't be written, that is reported once.

    The folder that it is in is made if need be; those above it only for the first heartbeat: a run's directory that
    the user moves away or removes is not made again.
    """

    def __init__(self, file: Path, name: str, say: Callable[[str], None]):
        self._file, self._name, self._say = file, name, say
        self._has_written = self._is_said = False

    def write(self, state: str, steps_per_second: float) -> None:
        try:
            self._file.parent.mkdir(parents=not self._has_written, exist_ok=True)
            write_heartbeat(self._file, self._name, state, steps_per_second)
            self._has_written = True
        except OSError as error:
            if not self._is_said:
                self._say(
                    f"warning: {self._name}: no heartbeat can be written to {self._file} ({error.strerror}): "
                    "`tfdqn health` will take it for dead"
                )
            self._is_said = True

    def remove(self) -> None:
        """Removes the file, when the process ends well."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def read_heartbeat(file: Path) -> HeartbeatRecord | None:
    """The last heartbeat of a process; None if there is none that can be read."""
    return read_decoded(file, _records.decode)


@contextmanager
def repeated_heartbeat(file: HeartbeatFile, state: str) -> Iterator[None]:
    """Writes heartbeats of one state in a thread of its own while the block runs; the last one stays."""
    is_over = Event()

    def write_until_over() -> None:
        file.write(state, 0.0)
        while not is_over.wait(_PERIOD_SECONDS):
            file.write(state, 0.0)

    thread = Thread(target=write_until_over, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(_PERIOD_SECONDS)  # a disk that hangs must not delay the end


@contextmanager
def heartbeat_of_command(command: str, say: Callable[[str], None]) -> Iterator[None]:
    """Writes heartbeats of a process with no role in a job (`train`, `launch`, `serve`, …) while the block runs.

    It does so if `TFDQN_BEATS` names a folder, as in the image, for its health check. They show that the process is
    alive, not that it makes progress. `say` shows a warning if they can't be written.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        yield
        return
    file = HeartbeatFile(Path(folder) / f"command-{os.getpid()}.json", command, say)
    try:
        with repeated_heartbeat(file, "running"):
            yield
    finally:
        file.remove()


class Finding(NamedTuple):
    """The health of a process, as `tfdqn health` reports it."""

    line: str
    is_well: bool


def health_of(process_id: ProcessId, folder: Path | None, within_seconds: float) -> Finding:
    """The health of one process of a job; a heartbeat older than `within_seconds` does not count."""
    file = heartbeat_file(process_id, folder)
    heartbeat = read_heartbeat(file)
    if heartbeat is None:
        return Finding(f"{process_id}: no heartbeat in {file}: it has not started, or has ended{_hint(folder)}", False)
    return _judged(heartbeat, within_seconds)


def health_of_all(folder: Path | None, within_seconds: float, job_since_seconds: float = math.inf) -> list[Finding]:
    """The health of each process with a heartbeat in the folder; if there are none, a finding that says so.

    `job_since_seconds` is when the folder's job began, since the epoch: a process that is gone counts if its heartbeat
    is newer. By default none does. The rest is as for `health_of`.
    """
    place = folder or heartbeat_folder()
    heartbeats = filter(None, map(read_heartbeat, sorted(place.glob("*.json"))))

    def counts(each: HeartbeatRecord) -> bool:
        if each.is_gone:  # its pid may be another's by now
            return each.seconds >= job_since_seconds
        return not each.pid or _is_there(each.pid)

    found = [_judged(each, within_seconds) for each in heartbeats if counts(each)]
    return found or [Finding(f"no running process has a heartbeat in {place}{_hint(folder)}", False)]


def _hint(folder: Path | None) -> str:
    """Where other heartbeats may be if the user has named no folder."""
    return "" if folder or os.environ.get(VARIABLE) else "; for a run launched on this host, give --run-dir RUN"


def _judged(heartbeat: HeartbeatRecord, within_seconds: float) -> Finding:
    silent_seconds = heartbeat.age_seconds()
    limit_seconds = silence_limit_seconds(heartbeat.state, within_seconds)
    if not heartbeat.pid:
        limit_seconds = max(limit_seconds, _FIRST_SECONDS, heartbeat.patience_seconds)
    is_well = 0 <= silent_seconds <= limit_seconds and not heartbeat.is_gone
    how = heartbeat.state if is_well else f"silent for {silent_seconds:.0f} s, after {heartbeat.state}"
    if heartbeat.is_gone:
        how = f"gone, after {heartbeat.state}"
    elif silent_seconds < 0:
        how = f"its heartbeat is of {-silent_seconds:,.0f} s in the future: a clock was set, or it is another host's"
    process = f" (process {heartbeat.pid})" if heartbeat.pid else ""
    return Finding(f"{heartbeat.name}: {how}{process}", is_well)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


@cache
def _this_clock() -> str:
    """A name of the origin of `time.monotonic`: the machine's boot, which a container may see shifted."""
    try:
        return f"{this_kernel()}-{os.stat('/proc/self/ns/time').st_ino}" if this_kernel() else ""
    except OSError:
        return ""


def _default_folder() -> Path:
    """A folder that only this user can write to: others could replace a file by a link."""
    folder = Path(tempfile.gettempdir()) / f"tfdqn-{os.getuid()}"
    with suppress(OSError):  # it exists; or it can't be made, and then no heartbeat can be written either
        folder.mkdir(mode=0o700)
    with suppress(FileNotFoundError):
        found = folder.lstat()
        is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        if not is_own or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ClusterError(f"{folder} is not this user's alone: name another folder in {VARIABLE}")
    return folder
