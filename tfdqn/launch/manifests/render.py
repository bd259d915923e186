"""`render`: a job's files for a platform, by the platform's own module; `write_files`: writes them to a folder."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from tfdqn.errors import ConfigError
from tfdqn.launch.manifests.job_spec import HEADER, JobSpec
from tfdqn.launch.manifests.platforms import Platform
from tfdqn.storage.atomic_files import write_atomically

_PATTERNS = ("*.yaml", "base/*.yaml", "overlays/*/*.yaml")
_MODE = 0o644  # whatever the umask is, since containers read the files as another user


def render(platform: Platform, spec: JobSpec) -> dict[str, str]:
    """The contents of the files by which a platform runs a job, by relative path.

    Raises ConfigError if the configuration can't be run by many processes, or if the job has a queue and the platform
    none.
    """
    if spec.queue and platform is not Platform.JOBSET:
        raise ConfigError(
            f"--queue {spec.queue}: Kueue can admit a whole job only if it is a JobSet: use the platform jobset"
        )
    files: dict[str, str] = import_module(f"tfdqn.launch.manifests.{platform}").render(spec)
    return files


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Writes files to a folder, and removes others there that an earlier call has written.

    Returns the paths of the files. Raises RunDirError if one can't be written.
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
    """Whether `tfdqn manifest` has written the file."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").startswith(HEADER)
    return False
