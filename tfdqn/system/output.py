"""What this process prints: redirects what C libraries print, and shows what tfdqn logs as lines of a command.

`native_output_to` leads C's stderr to a file, `others_print_to_stderr` stdout to stderr. `without_library_logs` keeps
libraries from logging, and from configuring the program's root logger.
"""

import ctypes
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO


@contextmanager
def native_output_to(path: Path) -> Iterator[None]:
    """Makes file descriptor 2, to which Reverb and XLA print, append to `path` until the block ends.

    `sys.stderr` moves to a copy of the old descriptor, so that Python's errors and progress are still shown. Where
    blocks of several threads overlap, whose output is whose is unknown: it goes to the newest block's file.
    """
    with path.open("ab") as log, _root_logger.kept():
        _descriptor_2.lead_to(log.fileno(), path)
        try:
            yield
        finally:
            _descriptor_2.leave(log.fileno())


def native_output_file() -> Path | None:
    """The file to which file descriptor 2 leads by the newest `native_output_to`; None: there is no such block now."""
    return _descriptor_2.path


class _Descriptor2:
    """Where file descriptor 2 of this process leads: to the newest of the files that it is redirected to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: dict[int, Path] = {}  # by descriptor, the newest last
        self._terminal = -1  # a copy of the descriptor as it was before
        self._before: TextIO = sys.stderr

    @property
    def path(self) -> Path | None:
        return next(reversed(list(self._logs.values())), None)

    def lead_to(self, log: int, path: Path) -> None:
        with self._lock:
            if not self._logs:
                self._before = sys.stderr
                self._before.flush()
                self._terminal = os.dup(2)
                if _writes_to_descriptor_2(self._before):
                    sys.stderr = _text_to(self._terminal, like=self._before)
            self._logs[log] = path
            os.dup2(log, 2)

    def leave(self, log: int) -> None:
        with self._lock:
            del self._logs[log]
            os.dup2(next(reversed(self._logs), self._terminal), 2)
            if self._logs:
                return
            if sys.stderr is not self._before:
                sys.stderr.flush()
                sys.stderr = self._before
            os.close(self._terminal)


_descriptor_2 = _Descriptor2()


class _RootLogger:
    """Keeps absl from configuring the root logger: with anything that it logs, it does if the root has no handler.

    Its handler would write to the descriptor that `sys.stderr` has in the block, which is closed later and may then be
    another file's; and the program's own `logging.basicConfig` would do nothing any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """In the block the root has a handler: its own, or the one that Python uses where there is none."""
        with self._lock:
            self._blocks += 1
            if not logging.root.handlers and logging.lastResort is not None:
                logging.root.addHandler(logging.lastResort)
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if not self._blocks and logging.lastResort is not None:
                    logging.root.removeHandler(logging.lastResort)


_root_logger = _RootLogger()


@contextmanager
def without_library_logs(*names: str) -> Iterator[None]:
    """Hides what libraries' loggers of these names log below the level of warnings in the block, in all threads."""

    def is_warning(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING

    loggers = [logging.getLogger(name) for name in names]
    with _root_logger.kept():
        for logger in loggers:
            logger.addFilter(is_warning)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(is_warning)


@contextmanager
def others_print_to_stderr() -> Iterator[None]:
    """Sends all that the block prints to stdout to stderr, also by C libraries and child processes.

    So stdout is kept for output that another program reads.
    """
    _flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(kept)


def _flush() -> None:
    """Flushes Python's buffer of stdout, and C's, which would otherwise be written when the process ends."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)


def _text_to(descriptor: int, like: TextIO) -> TextIO:
    return open(descriptor, "w", buffering=1, encoding=like.encoding, errors=like.errors, closefd=False)


def _writes_to_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, io.UnsupportedOperation):
        return False


class _Lines(logging.Handler):
    """Prints each record on stderr as a line that begins with its level, as other lines of the command do."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is None or getattr(sys.stderr, "closed", False):
            return
        try:
            print(f"{record.levelname.lower()}: {self.format(record)}", file=sys.stderr, flush=True)
        except OSError:
            pass  # nobody reads it any more
        except Exception:
            self.handleError(record)


@contextmanager
def logged_lines() -> Iterator[None]:
    """Prints what the package logs in the block as lines, and keeps it from other handlers.

    Libraries install handlers whenever they are imported or called, as absl does: theirs would print the names of
    Python's modules. A program that imports tfdqn decides that by itself.
    """
    logger, handler = logging.getLogger("tfdqn"), _Lines(logging.WARNING)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
