"""A job's files for a platform: rendered by the platform's own module, and written where containers can read them."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from tfdqn.errors import ConfigError
from tfdqn.launch.manifests.job_spec import HEADER, JobSpec
from tfdqn.launch.manifests.platforms import Platform
from tfdqn.storage.atomic_files import write_atomically

_PATTERNS = ("*.yaml", "base/*.yaml", "overlays/*/*.yaml")
_MODE = 0o644  # whatever the umask: containers read them as a user of their own


def render(platform: Platform, spec: JobSpec) -> dict[str, str]:
    """The files by which a platform runs a job: names and contents.

    Raises ConfigError if the configuration can't be run by many processes, or the platform knows no queue.
    """
    if spec.queue and platform is not Platform.JOBSET:
        raise ConfigError(
            f"--queue {spec.queue}: Kueue admits a job as a whole only as a JobSet: use the platform jobset"
        )
    files: dict[str, str] = import_module(f"tfdqn.launch.manifests.{platform}").render(spec)
    return files


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Writes the files, removes others that an earlier call wrote, and returns their paths.

    Raises RunDirError if one can't be written.
    """
    for name, content in files.items():
        path = folder / name
        write_atomically(path, content.encode())
        path.chmod(_MODE)
    for pattern in _PATTERNS:
        for path in folder.glob(pattern):
            if str(path.relative_to(folder)) not in files and _is_ours(path):
                path.unlink()
    return [folder / name for name in files]


def _is_ours(path: Path) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").startswith(HEADER)
    return False
