"""Turns a full disk, noticed by Python or by a C++ library, into an error of one line."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfdqn.errors import RunDirError, UserError


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, Python's or a C++ library's, says that there is no room left."""
    number = error.errno if isinstance(error, OSError) else None
    return number in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)


@contextmanager
def full_disk_is_one_line(path: Path) -> Iterator[None]:
    """Turns errors of the block that a full disk under `path` has caused into a RunDirError."""
    try:
        yield
    except UserError:
        raise  # says so itself
    except Exception as error:
        if not is_full_disk(error):
            raise
        raise RunDirError(
            f"{path}: the disk is full; what was saved before is intact: make room, then resume the run"
        ) from error
