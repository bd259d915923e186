"""Where manifests are written: containers' users may read them, and what an earlier call wrote besides goes."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tfdqn.launch.manifests.job_spec import HEADER
from tfdqn.storage.atomic_files import write_atomically

_MODE = 0o644  # whatever the umask: containers read them as a user of their own


def write_files(folder: Path, files: Mapping[str, str]) -> Iterator[Path]:
    """Writes them, and yields the path of each. Raises RunDirError where one can't be written."""
    for name, content in files.items():
        path = folder / name
        write_atomically(path, content.encode())
        path.chmod(_MODE)
        yield path
    for path in folder.glob("*.yaml"):
        if path.name not in files and _is_ours(path):
            path.unlink()


def _is_ours(path: Path) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").startswith(HEADER)
    return False
