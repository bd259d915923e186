"""Locks on files: the kernel's, and a record in the file that protects where the kernel's lock excludes nobody.

Some network disks refuse locks, some grant every lock, some know only those of one host. So the holder writes into the
file who it is, and raises a counter there every second. Who is granted the kernel's lock trusts it only where the same
kernel gave the holder its own, and refuses a second one; else the holder's process must be gone, or its counter stand
still for `STALE_SECONDS`. No clock of one host is compared with another's.
"""

import fcntl
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

import msgspec
from msgspec import Struct

from tfdqn.errors import RunDirError
from tfdqn.storage.owners import Owner, this_process

STALE_SECONDS = 15.0
_BEAT_SECONDS = 1.0
_RETRY_SECONDS = 0.5
_RECORD_BYTES = 512


class NoLocksError(Exception):
    """The file system gives no locks; says why."""


class Attempt(Enum):
    """What came of an attempt to take a lock."""

    TAKEN = "taken"
    HELD = "held by another"
    UNCLEAR = "there is a record of a holder that may be gone: try again in a moment"


class _Record(Struct, frozen=True):
    owner: Owner
    token: str  # of this taking of the lock
    device: int  # the file system, as the holder's kernel numbers it
    beats: int = 0


class FileLock:
    """A lock that one process holds, until it gives it back or ends.

    Args:
      file: made, with its folder, when the lock is first tried.
    """

    def __init__(self, file: Path):
        self.file = file
        self.holder: Owner | None = None  # who has it, where another does and has said so
        self.is_lost = False  # another has taken it since: this process was silent for too long
        self._descriptor = -1
        self._writing = threading.Lock()  # no beat comes after the lock is given back
        self._record: _Record | None = None
        self._watched: _Record | None = None
        self._watched_since_seconds = 0.0

    def take(self) -> Attempt:
        """Tries, and does not wait. Raises NoLocksError, and OSError where the file can't be made or written."""
        try:
            attempt = self._attempt()
        except BaseException:
            self._close()
            raise
        if attempt is Attempt.HELD:
            self._close()
        elif attempt is Attempt.TAKEN:
            self._hold()
        return attempt

    def give_back(self) -> None:
        """Ends holding it, or trying to."""
        with self._writing:
            if self._record is not None:
                with suppress(OSError):
                    found = _read(self.file)
                    if found is not None and found.token == self._record.token:
                        os.ftruncate(self._descriptor, 0)
            self._record = None
        self._close()

    def beat(self) -> None:
        """Shows that the holder lives, or finds that another has the lock; a disk that fails is tried again later."""
        with self._writing, suppress(OSError):
            if self._record is None:
                return
            # Opened anew: that makes a network disk's client look at the server, and closing it write there.
            descriptor = os.open(self.file, os.O_RDWR)
            try:
                found = _decoded(os.pread(descriptor, _RECORD_BYTES, 0))
                if (
                    found is None or found.token != self._record.token
                ):  # None: another has had it, and has ended
                    self.holder = None if found is None else found.owner
                    self.is_lost, self._record = True, None
                    return
                self._record = msgspec.structs.replace(self._record, beats=self._record.beats + 1)
                os.pwrite(descriptor, _encoded(self._record), 0)
            finally:
                os.close(descriptor)

    def _attempt(self) -> Attempt:
        if self._descriptor < 0:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o644)
            _open.add(self)
            if not _flock(self._descriptor):
                record = _read(self.file)
                self.holder = None if record is None else record.owner
                return Attempt.HELD
        record = _read(self.file)
        if record is None or self._is_gone(record):
            return Attempt.TAKEN
        self.holder = record.owner
        if record.owner.is_running():
            return Attempt.HELD
        return self._watch(record)

    def _is_gone(self, record: _Record) -> bool:
        """Whether its process no longer holds the lock, by what this host's kernel knows."""
        is_same_disk = record.device == os.fstat(self._descriptor).st_dev
        if record.owner.has_this_kernel and is_same_disk and self._kernel_excludes():
            return True
        return record.owner.is_running() is False

    def _kernel_excludes(self) -> bool:
        second = os.open(self.file, os.O_RDWR)
        try:
            return not _flock(second)
        finally:
            os.close(second)

    def _watch(self, record: _Record) -> Attempt:
        now = time.monotonic()
        if self._watched is None:
            self._watched, self._watched_since_seconds = record, now
        elif record != self._watched:
            self._watched = None
            return Attempt.HELD
        return Attempt.TAKEN if now - self._watched_since_seconds > STALE_SECONDS else Attempt.UNCLEAR

    def _hold(self) -> None:
        device = os.fstat(self._descriptor).st_dev
        self._record = _Record(this_process(), uuid.uuid4().hex, device)
        self.holder = self._watched = None
        os.pwrite(self._descriptor, _encoded(self._record), 0)  # never empty meanwhile
        os.ftruncate(self._descriptor, _RECORD_BYTES)
        _start_beating()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        _open.discard(self)

    def forget(self) -> None:
        """In a forked process, which would hold it on after its parent was killed."""
        self._record = None
        self._close()


@contextmanager
def locked(file: Path, folder: Path) -> Iterator[FileLock]:
    """Holds a lock while the block runs. Raises RunDirError where that can't be; `folder` is what it names."""
    lock = FileLock(file)
    try:
        _take(lock, folder)
        yield lock
    finally:
        lock.give_back()


def _take(lock: FileLock, folder: Path) -> None:
    is_said = False
    try:
        while (attempt := lock.take()) is Attempt.UNCLEAR:
            if not is_said:
                wait = f"waiting up to {STALE_SECONDS:.0f} s to see whether it does"
                print(f"{lock.holder} may still use {folder}: {wait}", file=sys.stderr, flush=True)
            is_said = True
            time.sleep(_RETRY_SECONDS)
    except NoLocksError as error:
        raise RunDirError(f"{folder} can't be locked: {error}: choose a --run-dir on another disk") from None
    except OSError as error:
        raise RunDirError(f"{folder} can't be made or written: {error.strerror}") from None
    if attempt is Attempt.HELD:
        raise RunDirError(
            f"{folder} is in use by {lock.holder or 'another process'}: wait for it, or end it first"
        )


_open: set[FileLock] = set()
_beating: threading.Thread | None = None


def _start_beating() -> None:
    global _beating
    if _beating is None or not _beating.is_alive():
        _beating = threading.Thread(target=_beat_for_ever, name="locks", daemon=True)
        _beating.start()


def _beat_for_ever() -> None:
    while True:
        time.sleep(_BEAT_SECONDS)
        for lock in open_locks():
            lock.beat()


def open_locks() -> tuple[FileLock, ...]:
    """Of this process: those that it holds, or is trying."""
    return tuple(_open)


def _forget_all() -> None:
    global _beating
    for lock in open_locks():
        lock.forget()
    _beating = None


os.register_at_fork(after_in_child=_forget_all)


def _flock(descriptor: int) -> bool:
    """Whether the kernel grants it. Raises NoLocksError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise NoLocksError(error.strerror) from None
    return True


def _read(file: Path) -> _Record | None:
    with file.open("rb") as opened:
        return _decoded(opened.read(_RECORD_BYTES))


def _decoded(content: bytes) -> _Record | None:
    """None: nobody's, or of another version."""
    try:
        return msgspec.json.decode(content, type=_Record)
    except msgspec.MsgspecError:
        return None


def _encoded(record: _Record) -> bytes:
    """Always as long, so that one write replaces all of the record before."""
    return msgspec.json.encode(record).ljust(_RECORD_BYTES - 1) + b"\n"
