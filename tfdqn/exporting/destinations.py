"""Where versions of a policy are published: a local folder, or a URL that TensorFlow can write, such as gs://….

A URL has no atomic rename. A version is written there file by file, then an empty file `COMPLETE`, and at last
`models.config`, which names the version to serve: left to itself, TensorFlow Serving would load the highest number
even while it is being written.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfdqn.errors import ConfigError, as_path
from tfdqn.exporting.tf_serving_files import (
    BATCHING_CONFIG,
    BATCHING_FILE,
    MODELS_FILE,
    models_config,
    write_serving_files,
)
from tfdqn.exporting.versions import CARD_FILE, EXTRA, MODEL_FILE, remove_version, versions, write_number
from tfdqn.system.utf8 import path_for_libraries

COMPLETE_FILE = "COMPLETE"
Card = dict[str, Any]
Export = Callable[[Path], Path]  # writes the next version to a folder, and returns the version's path


def make_destination(place: str, default: Path, name: str) -> "Folder | Url":
    """The destination that `export.directory` names: `place`, a path or a URL, or `default` if that is empty.

    `name` is the model's for TensorFlow Serving, at a URL. Raises ConfigError for a URL that TensorFlow can't write.
    """
    scheme, separator, _ = place.partition("://")
    if not separator:
        return Folder(path_for_libraries(as_path(place, "export.directory") if place else default))
    known = sorted(each for each in tf.io.gfile.get_registered_schemes() if each)
    if scheme not in known:
        kinds = ", ".join(f"{each}://" for each in known)
        raise ConfigError(f'export.directory = "{place}": TensorFlow can write {kinds} and paths')
    return Url(place.rstrip("/"), name)


class Folder:
    """A local folder; a version is renamed to its number when it is complete."""

    def __init__(self, path: Path):
        self._path = path

    def publish(self, export: Export) -> str:
        """Calls `export` and publishes the version that it writes, as a whole; returns its path or URL."""
        version = export(self._path)
        write_serving_files(self._path)
        return str(version)

    def cards(self) -> dict[int, Card]:
        """Each complete version's `export.json`, by number, oldest first; {} for one that has none."""
        found = {}
        for version in versions(self._path):
            try:
                content = (self._path / str(version) / EXTRA / CARD_FILE).read_bytes()
            except OSError:  # there is none, or another run that exports here has just removed its version
                content = b""
            found[version] = _parse_card(content)
        return found

    def remove(self, version: int) -> None:
        """Deletes a version; it is no longer listed from the first moment on."""
        remove_version(self._path, version)


class Url:
    """A folder at a URL, to which one run at a time may write; does what `Folder` does."""

    def __init__(self, url: str, name: str):
        self._url, self._name = url, name

    def publish(self, export: Export) -> str:
        with tempfile.TemporaryDirectory(prefix="tfdqn-export-") as directory:
            version = export(Path(directory))
            number = max(self._numbers(), default=0) + 1
            write_number(version, number)
            target = f"{self._url}/{number}"
            files = sorted(file for file in version.rglob("*") if file.is_file())
            for file in sorted(files, key=lambda file: file == version / MODEL_FILE):
                _copy(file, f"{target}/{file.relative_to(version).as_posix()}")
        _write(f"{target}/{COMPLETE_FILE}", "")
        if not tf.io.gfile.exists(f"{self._url}/{BATCHING_FILE}"):
            _write(f"{self._url}/{BATCHING_FILE}", BATCHING_CONFIG)
        _write(f"{self._url}/{MODELS_FILE}", models_config(self._name, self._url, number))
        return target

    def cards(self) -> dict[int, Card]:
        return {
            number: _parse_card(_read(f"{self._url}/{number}/{EXTRA}/{CARD_FILE}"))
            for number in self._numbers()
            if tf.io.gfile.exists(f"{self._url}/{number}/{COMPLETE_FILE}")
        }

    def remove(self, version: int) -> None:
        for file in (COMPLETE_FILE, MODEL_FILE):
            tf.io.gfile.remove(f"{self._url}/{version}/{file}")
        tf.io.gfile.rmtree(f"{self._url}/{version}")

    def _numbers(self) -> list[int]:
        """The numbers of all versions, incomplete ones too, since no number is used twice."""
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


def _read(source: str) -> bytes:
    """A file's content; empty if there is no such file."""
    if not tf.io.gfile.exists(source):
        return b""
    with tf.io.gfile.GFile(source, "rb") as file:
        return file.read()


def _parse_card(content: bytes) -> Card:
    """The JSON object in `content`; {} if it holds none, as in a version that another program wrote."""
    try:
        card = json.loads(content)
    except ValueError:
        return {}
    return card if isinstance(card, dict) else {}
