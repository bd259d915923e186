"""Arrays by name: whether they are those that are wanted, checked whole before the first of them is taken."""

from collections.abc import Mapping
from typing import Any, Protocol

from tfdqn.errors import CheckpointError

_ABSENT = "absent"


class Shaped(Protocol):
    """An array, a variable, or what describes one."""

    @property
    def shape(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...


def check_arrays(
    found: Mapping[str, Shaped],
    wanted: Mapping[str, Shaped],
    origin: object,
    any_length: tuple[str, ...] = (),
) -> None:
    """Raises CheckpointError for names, types or shapes that differ, in one line that names the first of them.

    Args:
      found: what was read or received.
      wanted: the same names, types and shapes.
      origin: where it was found, for the line.
      any_length: what is in the names of arrays whose first axis is of any length.
    """
    differences = [
        f"{name} is {ours}, not {theirs}"
        for name in wanted | found  # type: ignore[operator]
        if (ours := _words(found, name, any_length)) != (theirs := _words(wanted, name, any_length))
    ]
    if differences:
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        raise CheckpointError(
            f"{origin}: {differences[0]}{more}: it is of another network, optimizer or task than this run's "
            "configuration describes"
        )


def _words(arrays: Mapping[str, Shaped], name: str, any_length: tuple[str, ...]) -> str:
    if name not in arrays:
        return _ABSENT
    array = arrays[name]
    shape = [str(size) for size in array.shape]
    if any(part in name for part in any_length):
        shape[:1] = ["any"]
    return f"{array.dtype.name}[{', '.join(shape)}]"
