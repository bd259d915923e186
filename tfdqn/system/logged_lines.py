"""`logged_lines`: what tfdqn logs as lines for the user of a command, such as "warning: replay.mp4 is left out"."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
