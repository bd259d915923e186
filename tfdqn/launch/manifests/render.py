"""`render`: a job's files for a platform, by the platform's own module; `write_files`: writes them to a folder."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from tfdqn.errors import ConfigError, RunDirError
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


def write_files(platform: Platform, folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Writes a platform's files to a folder, and removes others there that an earlier call has written.

    Returns the paths of the files. Raises ConfigError if another platform's files are there, or anything else but an
    earlier call's; RunDirError if the folder can't be read, or a file can't be written.
    """
    there = [each for each in Platform if HEADER in _text(folder / each.own_file)]
    if others := [each for each in there if each is not platform]:
        raise ConfigError(
            f"{folder} has the files of {others[0]}, which those of {platform} would be mixed with: give another folder"
        )
    if not there and (strange := _names_in(folder)):
        raise ConfigError(
            f"{folder} holds other files, such as {strange[0]}, and nothing of `tfdqn manifest {platform}`: "
            "give an empty or a new folder"
        )
    for name, content in files.items():
        path = folder / name
        write_atomically(path, content.encode())
        path.chmod(_MODE)
    for pattern in _PATTERNS:
        for path in folder.glob(pattern):
            if str(path.relative_to(folder)) not in files and _text(path).startswith(HEADER):
                path.unlink()
    return [folder / name for name in files]


def _names_in(folder: Path) -> list[str]:
    """The names of what a folder holds, sorted; none if it is not there. Raises RunDirError."""
    try:
        return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise RunDirError(f"{folder} can't be read: {error.strerror}") from None


def _text(path: Path) -> str:
    """The content of a file; "" if there is none that can be read as text."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    return ""
