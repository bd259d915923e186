"""Named arrays in files: writes them, reads them back, and checks all of them before any is used."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from tfdqn.errors import CheckpointError
from tfdqn.storage.atomic_files import replacing
from tfdqn.types import Arrays

_ABSENT = "absent"
_T = TypeVar("_T")


class SavedArrays(dict[str, np.ndarray]):
    """Named arrays read from a file; a missing name raises CheckpointError."""

    def __init__(self, arrays: Arrays, file: Path):
        super().__init__(arrays)
        self.file = file

    def __missing__(self, name: str) -> np.ndarray:
        raise CheckpointError(f"{self.file}: it has no array {name!r}")


class ArrayInfo(Protocol):
    """An array, a variable, or a description of one."""

    @property
    def shape(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...


def check_arrays(
    found: Mapping[str, ArrayInfo], wanted: Mapping[str, ArrayInfo], origin: object, any_length: tuple[str, ...] = ()
) -> None:
    """Raises CheckpointError for names, types or shapes that differ, in one line that names the first of them.

    Args:
      found: what was read or received.
      wanted: the same names, types and shapes.
      origin: where it was found, for the line.
      any_length: arrays whose name contains one of these may have any length along the first axis.
    """
    differences = [
        f"{name} is {ours}, not {theirs}"
        for name in wanted | found  # type: ignore[operator]
        if (ours := _words(found, name, any_length)) != (theirs := _words(wanted, name, any_length))
    ]
    if differences:
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        raise CheckpointError(
            f"{origin}: {differences[0]}{more}: it belongs to another network, optimizer or task than this run's "
            "configuration describes"
        )


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Writes arrays by name as .npz, whole or not at all."""
    # Not np.savez: on a full disk it leaves its archive open, which raises again when it is deleted.
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def load_arrays(path: Path, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Reads what `save_arrays` wrote, or only the arrays of these names; nothing in it is ever unpickled."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in names or archive.files}


def with_prefix(prefix: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays named "prefix/name", as "name"."""
    start = prefix + "/"
    found = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
    return _of_same_file(found, arrays)


def by_index(count: int, arrays: Arrays) -> list[dict[str, np.ndarray]]:
    """The arrays named "0/name", "1/name", …, as `with_prefix` gives them for each index below `count`."""
    found: dict[str, dict[str, np.ndarray]] = {str(index): {} for index in range(count)}
    for name, array in arrays.items():
        prefix, _, rest = name.partition("/")
        if prefix in found:
            found[prefix][rest] = array
    return [_of_same_file(each, arrays) for each in found.values()]


def add_prefix(prefix: str, values: Mapping[str, _T]) -> dict[str, _T]:
    """The inverse of `with_prefix`: "name" becomes "prefix/name"."""
    return {f"{prefix}/{name}": value for name, value in values.items()}


def _words(arrays: Mapping[str, ArrayInfo], name: str, any_length: tuple[str, ...]) -> str:
    if name not in arrays:
        return _ABSENT
    array = arrays[name]
    shape = [str(size) for size in array.shape]
    if any(part in name for part in any_length):
        shape[:1] = ["any"]
    return f"{array.dtype.name}[{', '.join(shape)}]"


def _of_same_file(found: dict[str, np.ndarray], arrays: Arrays) -> dict[str, np.ndarray]:
    return SavedArrays(found, arrays.file) if isinstance(arrays, SavedArrays) else found
