"""`Owner`: identifies the process that a lock or an unfinished file belongs to, across hosts and containers.

`Lease`: what a lock's file says of the process that holds the lock, as text of a fixed length.
"""

import hashlib
import os
import re
import shlex
import socket
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

LEASE_BYTES = 512
_SHOWN_CHARACTERS = 160
# A command line of tfdqn, up to its first argument: not that of an editor, say, whose argument is tfdqn's folder.
_PROGRAM = re.compile(r"(?:[^\0]*python[^\0/]*\0(?:-X\0[^\0]*\0|-[a-zA-Z]+\0)*)?(?:[^\0]*/)?tfdqn\0")


class Owner(Struct, frozen=True):
    """A process, distinguished from all others that share a disk with it."""

    pid: int
    started: int  # in clock ticks since the boot: a later process may have the same pid
    kernel: str  # identifies the machine and its boot; empty: unknown
    namespace: int  # the PID namespace: containers have their own
    host: str = ""

    def __str__(self) -> str:
        is_here = (self.kernel, self.namespace) == (this_kernel(), _namespace())
        return f"process {self.pid}" if is_here or not self.host else f"process {self.pid} on {self.host}"

    @property
    def has_this_kernel(self) -> bool:
        """Whether the process belongs to this machine's present boot, perhaps in another container."""
        return self.kernel == this_kernel() != ""

    @property
    def mark(self) -> str:
        """Identifies the process in the names of its unfinished files."""
        return f"{self.pid}-{self.started}-{self.kernel or 0}-{self.namespace}"

    def is_running(self) -> bool | None:
        """Whether the process still runs; None if that can't be seen from here."""
        if not self.has_this_kernel or self.namespace != _namespace():
            return None
        started = _started(self.pid)
        return None if started is None else started == self.started


def this_process() -> Owner:
    """The process that calls this."""
    pid = os.getpid()
    return Owner(pid, _started(pid) or 0, this_kernel(), _namespace(), socket.gethostname())


def in_words(owner: Owner) -> str:
    """The process that the user has started, which is the owner or has started it, and what to do about it.

    It can be told, with its command, where this host runs it and the command is tfdqn's; else it is the owner.
    """
    if owner == this_process():
        return "another thread of this process: wait for it, or stop it first"
    pids = [owner.pid] if owner.is_running() else []
    while pids and (parent := _parent(pids[-1])):
        pids.append(parent)
    commands = [(pid, command) for pid in pids if (command := _command(pid))]
    if not commands:
        return f"{owner}: wait for it, or end it first"
    pid, command = commands[-1]
    shown = command if len(command) <= _SHOWN_CHARACTERS else f"{command[:_SHOWN_CHARACTERS]} …"
    return f"process {pid} ({shown}): wait for it, or end it by `kill {pid}`, which has it save"


def _command(pid: int) -> str:
    """A process's command line as its user gave it; empty if it is not tfdqn's, or can't be seen."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""
    program = _PROGRAM.match(line)
    return shlex.join(["tfdqn", *line[program.end() :].split("\0")]) if program else ""


def _parent(pid: int) -> int:
    """The process that has started it; 0 if there is none, or it can't be seen."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def owner_of_mark(mark: str) -> Owner | None:
    """The process with this `mark`; None if it isn't a mark."""
    try:
        pid, started, kernel, namespace = mark.split("-")
        return Owner(int(pid), int(started), kernel, int(namespace))
    except ValueError:
        return None


@cache
def this_kernel() -> str:
    """Identifies this machine and its last boot; empty if the system can't."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return ""
    return hashlib.sha256(boot).hexdigest()[:16]


@cache
def _namespace() -> int:
    """The namespace of this process's id; 0 if the system doesn't say."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _started(pid: int) -> int | None:
    """When a process of this namespace started, in clock ticks; 0 if there is none, None if that can't be seen."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return 0 if state in b"ZX" else int(fields[18])
    except (OSError, ValueError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except OSError:
        pass  # another user's, whom /proc hides
    return None


class Lease(Struct, frozen=True):
    """A claim to a lock, which its holder renews."""

    owner: Owner
    token: str  # of this holding of the lock
    device: int  # the file system, as the holder's kernel numbers it
    renewals: int = msgspec.field(default=0, name="beats")


_leases = msgspec.json.Decoder(Lease)


def decoded_lease(content: bytes) -> Lease | None:
    """The lease in a file's content; None if there is none, or it is of another version."""
    try:
        return _leases.decode(content)
    except (UnicodeDecodeError, msgspec.MsgspecError):
        return None


def encoded_lease(lease: Lease) -> bytes:
    """The lease as `LEASE_BYTES` bytes, so that one write replaces all of the previous lease."""
    return msgspec.json.encode(lease).ljust(LEASE_BYTES - 1) + b"\n"
