"""Locks on files: the kernel's lock, and a lease in the file for disks on which the kernel's lock is not enough.

Some network disks refuse locks, some grant every lock, and some only see the locks of one host. So the holder writes
its identity into the file, with a counter that it increments every second. A process that is granted the kernel's lock
relies on it only if the previous holder got its lock from the same kernel, and that kernel refuses a second one. If
not, the holder's process must be gone, or its counter must not have moved for `STALE_SECONDS`. Clocks of two hosts are
never compared.
"""

import fcntl
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

import msgspec

from tfdqn.errors import RunDirError
from tfdqn.storage.atomic_files import why_not
from tfdqn.storage.owners import LEASE_BYTES, Lease, Owner, decoded_lease, encoded_lease, in_words, this_process

STALE_SECONDS = 15.0
_RENEWAL_SECONDS = 1.0
_RETRY_SECONDS = 0.5


class NoLocksError(Exception):
    """The file system has no locks; the message says why."""


class Attempt(Enum):
    """The result of an attempt to acquire a lock."""

    ACQUIRED = "acquired"
    HELD = "held by another"
    UNCLEAR = "there is a lease of a holder that may be gone: try again in a moment"


class FileLock:
    """A lock that one process holds until it releases it or ends.

    Args:
      file: made, with its folder, at the first attempt.

    Attributes:
      holder: the other process that has it, if known.
      is_lost: whether another process took it because this one had not renewed it for too long.
      left_by: the previous holder, if it ended without releasing the lock, for example because it was killed.
      keeps_left: whether `left_by` is found by the next holder, too, and by `leaver_of`, after this one's release.
      before_release: called while the lock is still held, when it is given up.
    """

    def __init__(self, file: Path):
        self.file = file
        self.holder: Owner | None = None
        self.is_lost = False
        self.left_by: Owner | None = None
        self.keeps_left = False
        self.before_release: Callable[[], None] = lambda: None
        self._descriptor = -1
        self._writing = threading.Lock()  # so that no renewal comes before the lease is written, or after the release
        self._lease: Lease | None = None
        self._left: Lease | None = None  # that of `left_by`
        self._watched: Lease | None = None
        self._watched_since_seconds = 0.0

    def try_acquire(self) -> Attempt:
        """Tries once, without waiting. Raises NoLocksError, and OSError if the file can't be created or written."""
        try:
            attempt = self._attempt()
            if attempt is Attempt.ACQUIRED:
                self._left = decoded_lease(self.file.read_bytes())
                self.left_by = None if self._left is None else self._left.owner
                self._hold()
        except BaseException:
            self._close()
            raise
        if attempt is Attempt.HELD:
            self._close()
        return attempt

    def release(self) -> None:
        """Gives the lock up, or stops trying to get it."""
        if self._lease is not None:
            self.before_release()
        with self._writing:
            if self._lease is not None:
                with suppress(OSError):
                    found = decoded_lease(self.file.read_bytes())
                    if found is not None and found.token == self._lease.token:
                        self._free()
            self._lease = None
        self._close()

    def renew(self) -> None:
        """Renews the lease, or notices that another process has taken the lock; a disk error is retried later."""
        with self._writing, suppress(OSError):
            if self._lease is None:
                return
            # Reopened, because on a network disk opening asks the server for its content, and closing writes to it.
            with self.file.open("r+b", buffering=0) as file:
                found = decoded_lease(file.read(LEASE_BYTES))
                if found is None or found.token != self._lease.token:  # None: another has had it, and has ended
                    self.holder = None if found is None else found.owner
                    self.is_lost, self._lease = True, None
                    return
                self._lease = msgspec.structs.replace(self._lease, renewals=self._lease.renewals + 1)
                os.pwrite(file.fileno(), encoded_lease(self._lease), 0)

    def _attempt(self) -> Attempt:
        is_new = self._descriptor < 0
        if is_new:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o644)
            _open.add(self)
        is_granted = not is_new or _flock(self._descriptor)
        lease = decoded_lease(self.file.read_bytes())
        if is_granted and (lease is None or self._is_gone(lease)):
            return Attempt.ACQUIRED
        self.holder = None if lease is None else lease.owner
        if not is_granted or lease is None or lease.owner.is_running():
            return Attempt.HELD
        return self._watch(lease)

    def _is_gone(self, lease: Lease) -> bool:
        """Whether this host's kernel knows that the lease's process no longer holds the lock."""
        is_same_disk = lease.device == os.fstat(self._descriptor).st_dev
        if lease.owner.has_this_kernel and is_same_disk and self._kernel_excludes():
            return True
        return lease.owner.is_running() is False

    def _kernel_excludes(self) -> bool:
        with self.file.open("r+b") as second:
            return not _flock(second.fileno())

    def _watch(self, lease: Lease) -> Attempt:
        now = time.monotonic()
        if self._watched is None:
            self._watched, self._watched_since_seconds = lease, now
        elif lease != self._watched:
            self._watched = None
            return Attempt.HELD
        return Attempt.ACQUIRED if now - self._watched_since_seconds > STALE_SECONDS else Attempt.UNCLEAR

    def _hold(self) -> None:
        with self._writing:  # so that no renewal comes before the lease is in the file
            self._lease = Lease(this_process(), uuid.uuid4().hex, os.fstat(self._descriptor).st_dev)
            self.holder = self._watched = None
            os.pwrite(self._descriptor, encoded_lease(self._lease), 0)  # before truncating: the file is never empty
            os.ftruncate(self._descriptor, LEASE_BYTES)
        _start_renewing()

    def _free(self) -> None:
        """Takes this holder's lease out of the file."""
        if self.keeps_left and self._left is not None and self._left.owner.is_running() is False:
            os.pwrite(self._descriptor, encoded_lease(self._left), 0)
        else:
            os.ftruncate(self._descriptor, 0)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        _open.discard(self)


def holder_of(file: Path) -> Owner | None:
    """The process that holds the lock, by its lease; None if there is none, or it is known to be gone."""
    owner = _owner_in(file)
    return None if owner is None or owner.is_running() is False else owner


def leaver_of(file: Path) -> Owner | None:
    """The process that is known to have ended without releasing the lock, by its lease; None if there is none."""
    owner = _owner_in(file)
    return owner if owner is not None and owner.is_running() is False else None


def _owner_in(file: Path) -> Owner | None:
    with suppress(OSError):
        lease = decoded_lease(file.read_bytes())
        return None if lease is None else lease.owner
    return None


@contextmanager
def locked(file: Path, folder: Path) -> Iterator[FileLock]:
    """Holds a lock while the block runs. Raises RunDirError, which names `folder`, if it can't be had."""
    lock = FileLock(file)
    try:
        _acquire(lock, folder)
        yield lock
    finally:
        lock.release()


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Waits for the kernel's lock on a file, for a moment's work. The kernel frees it when its holder dies.

    Raises NoLocksError, and OSError if the file can't be created.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # no limit: each holder needs it for a moment only
        except OSError as error:
            raise NoLocksError(error.strerror) from None
        yield
    finally:
        os.close(descriptor)


def _acquire(lock: FileLock, folder: Path) -> None:
    is_said = False
    try:
        while (attempt := lock.try_acquire()) is Attempt.UNCLEAR:
            if not is_said:
                wait = f"waiting up to {STALE_SECONDS:.0f} s to see whether it does"
                print(f"{lock.holder} may still be using {folder}: {wait}", file=sys.stderr, flush=True)
            is_said = True
            time.sleep(_RETRY_SECONDS)
    except NoLocksError as error:
        raise RunDirError(
            f"{folder} can't be locked: {error}: choose a run directory (--run-dir, run_dir in Python) on another disk"
        ) from None
    except OSError as error:
        raise RunDirError(f"{folder} can't be created or written: {why_not(folder, error)}") from None
    if attempt is Attempt.HELD:
        held = in_words(lock.holder) if lock.holder else "another process: wait for it, or end it first"
        raise RunDirError(f"{folder} is in use by {held}")


def release_all() -> None:
    """Gives up every lock of this process, which ends now without the end of the blocks that hold them."""
    for lock in tuple(_open):
        lock.release()


_open: set[FileLock] = set()  # locks that this process holds or tries to acquire
_renewing: threading.Thread | None = None


def _start_renewing() -> None:
    global _renewing
    if _renewing is None or not _renewing.is_alive():
        _renewing = threading.Thread(target=_renew_for_ever, name="locks", daemon=True)
        _renewing.start()


def _renew_for_ever() -> None:
    while True:
        time.sleep(_RENEWAL_SECONDS)
        for lock in tuple(_open):
            lock.renew()


def _forget_all() -> None:
    """Closes the locks in a forked child, which would otherwise keep holding them after its parent was killed."""
    global _renewing
    for lock in tuple(_open):
        lock._lease = None
        lock._close()
    _renewing = None


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
