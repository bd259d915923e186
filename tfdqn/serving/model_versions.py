"""`ModelVersions`: the served versions of a folder of exports, and the states of the others."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tfdqn.errors import UserError, first_line
from tfdqn.exporting.versions import complete_versions
from tfdqn.serving.model import Model
from tfdqn.serving.options import LATEST, VersionPolicy

_LONGEST_PROBLEM = 300  # characters


class VersionState(NamedTuple):
    """The state of one version, in TensorFlow Serving's words."""

    state: str  # LOADING, AVAILABLE or END
    problem: str = ""


class ModelVersions:
    """The served versions among `exports/1`, `exports/2`, …

    A broken version is reported once, and tried again when its files change, since it may still be being copied.

    Attributes:
      states: of every version seen so far.
    """

    def __init__(self, directory: Path, say: Callable[[str], None], policy: VersionPolicy = LATEST):
        """Loads the versions that the policy chooses. Raises UserError if none of them can be loaded."""
        self.states: dict[int, VersionState] = {}
        self._directory = directory
        self._say = say
        self._policy = policy
        self._broken: dict[int, tuple[object, ...]] = {}
        self._models: dict[int, Model] = {}  # newest first; never changed, but replaced: another thread reads it
        self.refresh()
        if not self._models:
            raise UserError(f"{directory}: no version can be loaded")

    @property
    def current(self) -> Model:
        """The newest served version."""
        return next(iter(self._models.values()))

    @property
    def served(self) -> list[int]:
        """The numbers of the served versions, newest first."""
        return list(self._models)

    def find(self, version: int) -> Model | None:
        """A version's model; None if it is not served."""
        return self._models.get(version)

    def refresh(self) -> None:
        """Loads the versions that the policy now chooses, and only then unloads the others.

        If a version is gone or can't be loaded, an older one takes its place. If all are gone, nothing changes.
        """
        before, kept = self._models, list[int]()
        for version in self._policy.chosen(complete_versions(self._directory)):
            if len(kept) == self._policy.most:
                break
            if version in self._models or self._load(version):
                kept.append(version)
        if not kept or kept == list(before):
            return
        for version in self._models.keys() - kept:
            self.states[version] = VersionState("END")
        self._models = {version: self._models[version] for version in kept}
        if before:
            self._tell(before)

    def _tell(self, before: dict[int, Model]) -> None:
        new, old = sorted(self._models.keys() - before.keys()), sorted(before.keys() - self._models.keys())
        if new:
            instead = f" in place of {_listed(old)}" if old else ""
            self._say(f"{_named(new)} served{instead}.")
        else:
            self._say(f"{_named(old)} served no more.")

    def _load(self, version: int) -> bool:
        path = self._directory / str(version)
        fingerprint = _fingerprint(path)
        if self._broken.get(version) == fingerprint:
            return False
        self.states[version] = VersionState("LOADING")
        try:
            model = Model(path, version)
        except Exception as error:  # TensorFlow raises many types for a damaged model
            self._broken[version] = fingerprint
            problem = _in_short(error)
            self.states[version] = VersionState("END", problem)
            stays = f"; version {self.current.version} stays" if self._models else ""
            self._say(f"Version {version} can't be loaded{stays}: {problem}")
            return False
        self._models = dict(sorted({**self._models, version: model}.items(), reverse=True))
        self.states[version] = VersionState("AVAILABLE")
        return True


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions))


def _named(versions: list[int]) -> str:
    return f"Version {versions[0]} is" if len(versions) == 1 else f"Versions {_listed(versions)} are"


def _in_short(error: Exception) -> str:
    """TensorFlow's message without its advice for programmers, and with paths as people write them."""
    found = re.sub(r"\bb('[^']*')", r"\1", first_line(error))
    return textwrap.shorten(found, _LONGEST_PROBLEM, placeholder=" …")


def _fingerprint(path: Path) -> tuple[object, ...]:
    """A value that changes when a file does."""
    try:
        return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(path.rglob("*")))
    except OSError:
        return ()
