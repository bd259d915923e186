"""`ModelVersions`: the newest version of an exports folder that can be loaded, and what became of the others."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tfdqn.errors import UserError, first_line
from tfdqn.exporting.versions import has_model, versions
from tfdqn.serving.model import Model

_LONGEST_PROBLEM = 300  # characters


class VersionState(NamedTuple):
    """How one version stands, in TensorFlow Serving's words."""

    state: str  # LOADING, AVAILABLE or END
    problem: str = ""


class ModelVersions:
    """What is served of `exports/1`, `exports/2`, …

    A broken version is reported once, and tried again when its files change: it may still be being copied.

    Attributes:
      states: of every version met so far.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]):
        """Loads the newest that can be. Raises UserError where there is none."""
        self.states: dict[int, VersionState] = {}
        self._directory = directory
        self._say = say
        self._broken: dict[int, tuple[object, ...]] = {}
        self._current: Model | None = None
        self.refresh()
        if self._current is None:
            raise UserError(f"{directory}: no version can be loaded")

    @property
    def current(self) -> Model:
        assert self._current is not None
        return self._current

    def refresh(self) -> None:
        """Loads the newest version if it is not the one served, which it replaces only then.

        Where the newest is gone, that before it is served again; where all are, nothing changes.
        """
        for version in reversed(_complete(self._directory)):
            if self._current is not None and version == self._current.version:
                return
            path = self._directory / str(version)
            fingerprint = _fingerprint(path)
            if self._broken.get(version) == fingerprint:
                continue
            if self._load(version, path):
                return
            self._broken[version] = fingerprint

    def _load(self, version: int, path: Path) -> bool:
        self.states[version] = VersionState("LOADING")
        try:
            model = Model(path, version)
        except Exception as error:  # damage has many names
            problem = _in_short(error)
            self.states[version] = VersionState("END", problem)
            stays = f"; version {self._current.version} stays" if self._current else ""
            self._say(f"Version {version} can't be loaded{stays}: {problem}")
            return False
        before, self._current = self._current, model
        self.states[version] = VersionState("AVAILABLE")
        if before is not None:
            self.states[before.version] = VersionState("END")
            self._say(f"Version {version} is served in place of {before.version}.")
        return True


def _in_short(error: Exception) -> str:
    """What TensorFlow found, without the advice for programmers that follows it; paths as people write them."""
    found = re.sub(r"\bb('[^']*')", r"\1", first_line(error))
    return textwrap.shorten(found, _LONGEST_PROBLEM, placeholder=" …")


def _complete(directory: Path) -> list[int]:
    """The versions whose graph is there, oldest first."""
    try:
        return [each for each in versions(directory) if has_model(directory / str(each))]
    except OSError:  # gone meanwhile
        return []


def _fingerprint(path: Path) -> tuple[object, ...]:
    """What changes when a file does."""
    try:
        return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(path.rglob("*")))
    except OSError:
        return ()
