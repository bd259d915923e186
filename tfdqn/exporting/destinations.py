"""Where versions of a policy appear: a folder of this machine, or a URL that TensorFlow can write, such as gs://….

A version at a URL is written file by file, then `COMPLETE`, and last of all `models.config` names it: TensorFlow
Serving, which would take the highest number whether or not it is whole, serves the version that stands there.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from tfdqn.errors import ConfigError
from tfdqn.exporting.tf_serving_files import (
    BATCHING_FILE,
    MODELS_FILE,
    batching_config,
    models_config,
    write_serving_files,
)
from tfdqn.exporting.versions import CARD_FILE, EXTRA, MODEL_FILE, remove_version, versions
from tfdqn.system.utf8 import path_for_libraries

COMPLETE_FILE = "COMPLETE"
Card = dict[str, Any]
# Writes the next version to a folder, and returns its path.
Export = Callable[[Path], Path]


class Destination(Protocol):
    """A place of numbered versions."""

    def next_version(self) -> int:
        """The number that the next version will have, unless another process takes it first."""

    def publish(self, export: Export) -> str:
        """Has a version written and makes it appear, whole; returns where."""

    def cards(self) -> dict[int, Card]:
        """What each complete version says of itself, by number, oldest first."""

    def remove(self, version: int) -> None:
        """Makes a version disappear, at once for those that list versions."""


def make_destination(place: str, default: Path, name: str) -> Destination:
    """`place`, a path or a URL; `default` where it is empty. `name` is the model's, for TensorFlow Serving.

    Raises ConfigError for a URL of a kind that TensorFlow can't write.
    """
    scheme, separator, _ = place.partition("://")
    if not separator:
        return Folder(path_for_libraries(Path(place) if place else default))
    known = sorted(each for each in tf.io.gfile.get_registered_schemes() if each)
    if scheme not in known:
        kinds = ", ".join(f"{each}://" for each in known)
        raise ConfigError(f'export.directory = "{place}": TensorFlow can write {kinds} and paths')
    return Url(place.rstrip("/"), name)


class Folder:
    """A folder of this machine, where versions are renamed to their number when they are complete."""

    def __init__(self, path: Path):
        self._path = path

    def next_version(self) -> int:
        return max(versions(self._path), default=0) + 1

    def publish(self, export: Export) -> str:
        version = export(self._path)
        write_serving_files(self._path)
        return str(version)

    def cards(self) -> dict[int, Card]:
        found = {}
        for version in versions(self._path):
            card = self._path / str(version) / EXTRA / CARD_FILE
            found[version] = _read_card(card.read_text(encoding="utf-8")) if card.is_file() else {}
        return found

    def remove(self, version: int) -> None:
        remove_version(self._path, version)


class Url:
    """A folder at a URL, in which one run at a time writes."""

    def __init__(self, url: str, name: str):
        self._url, self._name = url, name

    def next_version(self) -> int:
        return max(self._numbers(), default=0) + 1

    def publish(self, export: Export) -> str:
        with tempfile.TemporaryDirectory(prefix="tfdqn-export-") as directory:
            version = export(Path(directory))
            number = self.next_version()
            target = f"{self._url}/{number}"
            files = sorted(file for file in version.rglob("*") if file.is_file())
            for file in sorted(files, key=lambda file: file == version / MODEL_FILE):
                _copy(file, f"{target}/{file.relative_to(version).as_posix()}")
        _write(f"{target}/{COMPLETE_FILE}", "")
        if not tf.io.gfile.exists(f"{self._url}/{BATCHING_FILE}"):
            _write(f"{self._url}/{BATCHING_FILE}", batching_config())
        _write(f"{self._url}/{MODELS_FILE}", models_config(self._name, self._url, number))
        return target

    def cards(self) -> dict[int, Card]:
        return {
            number: _read_card(_read(f"{self._url}/{number}/{EXTRA}/{CARD_FILE}"))
            for number in self._numbers()
            if tf.io.gfile.exists(f"{self._url}/{number}/{COMPLETE_FILE}")
        }

    def remove(self, version: int) -> None:
        for file in (COMPLETE_FILE, MODEL_FILE):
            tf.io.gfile.remove(f"{self._url}/{version}/{file}")
        tf.io.gfile.rmtree(f"{self._url}/{version}")

    def _numbers(self) -> list[int]:
        """Of all versions, incomplete ones too, whose numbers are not used again."""
        try:
            names = [name.rstrip("/") for name in tf.io.gfile.listdir(self._url)]
        except tf.errors.NotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdecimal())


def _copy(file: Path, target: str) -> None:
    tf.io.gfile.makedirs(target.rpartition("/")[0])
    tf.io.gfile.copy(str(file), target)


def _write(target: str, text: str) -> None:
    with tf.io.gfile.GFile(target, "w") as file:
        file.write(text)


def _read(source: str) -> str:
    if not tf.io.gfile.exists(source):
        return ""
    with tf.io.gfile.GFile(source) as file:
        return file.read()


def _read_card(text: str) -> Card:
    """Empty if another program wrote the version."""
    try:
        card = json.loads(text)
    except ValueError:
        return {}
    return card if isinstance(card, dict) else {}
