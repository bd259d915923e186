"""`checkpoints_in`: the directories of a run's checkpoints, which are known by their names, such as `000007`."""

import re
from pathlib import Path

from tfdqn.errors import CheckpointError

_NAME = re.compile(r"[0-9]{6,}")


def checkpoints_in(directory: Path) -> list[Path]:
    """The checkpoints' directories, oldest first; anything else in the folder is not ours. [] if it doesn't exist.

    Raises CheckpointError if the folder can't be listed.
    """
    try:
        ours = [path for path in directory.iterdir() if _NAME.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CheckpointError(f"{directory}: can't be listed: {error.strerror}") from error
    return sorted(ours, key=lambda path: int(path.name))
