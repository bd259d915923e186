"""A full disk, met by Python or by a C++ library, said in one line."""

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
    """Raises RunDirError for what the block met while it wrote under `path` to a full disk."""
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
