"""Imports the user's own modules, named in a configuration as "my_package.my_module:name", and reports their errors."""

import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType
from typing import Any

from tfdqn.config.wording import shown
from tfdqn.errors import ConfigError, OwnCodeError, UserError, one_line, shortened

# A line of the stacks in TensorFlow's messages, and the first words of the lines there that say nothing of the reason.
_STACK_LINE = re.compile(r'File "(.+?)", line (\d+), in (\S+)')
_NO_REASON = (
    *("File ", "Graph execution error", "Detected at node", "Stack trace", "Traceback", "<stack", "[[", "^"),
    *("Additional GRPC", ":{"),  # of an error in a process that computes gradients
)
_GRADIENT = re.compile(r"\bgradient_tape/")  # begins the names of operations that TensorFlow adds for a gradient
_NOT_IN_XLA = re.compile(r"unsupported operations when trying to compile [^:]+: (\w+)")
_FAULTS_OF_OPERATIONS = ("InvalidArgumentError", "UnimplementedError")  # which no lost process raises
_packages: set[str] = set()  # top-level packages of the user's modules that were imported


def import_user_module(name: str, wanted_by: str, error: type[UserError]) -> None:
    """Imports a user's module, which registers its names, from the current directory or the installed packages.

    Raises `error`, one line that begins with `wanted_by`, the key and value that name the module, if there is none or
    importing it fails.
    """
    if name.startswith("."):  # Python would take it for a relative import
        raise error(f'{wanted_by}: there is no module "{name}"{_as_a_module(name)}')
    if os.getcwd() not in sys.path:  # a console script, unlike `python -m`, doesn't search it
        sys.path.insert(0, os.getcwd())
    try:
        _packages.add(name.partition(".")[0])
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if _is_missing(name, missing):
            hint = _as_a_module(name, missing.name or "") or "; if it is elsewhere, add its folder to PYTHONPATH"
            raise error(
                f'{wanted_by}: there is no module "{missing.name}" in {os.getcwd()} or among the installed ones{hint}'
            ) from missing
        raise error(f'{wanted_by}: {name} needs "{missing.name}", which is not installed') from missing
    except (Exception, SystemExit) as failure:
        frame = _own_frame(failure)
        what = "failed" if isinstance(failure, Exception) else "ended the program"
        where = f" at {_place(*frame)}" if frame else ""
        raise error(f"{wanted_by}: importing {name} {what}{where}: {one_line(failure)}") from failure


def import_replaced_kinds(
    values: Mapping[str, Any], merged: Mapping[str, Any], overridden: Collection[str], say: Callable[[str], None]
) -> None:
    """Imports the user's modules whose kinds were overridden, so that their keys are known, and can be left out.

    They are no longer needed: `say` is told of one that fails, and nothing of one that isn't there. `values` is the
    configuration without its overrides, `merged` with them.
    """
    for section in values:
        kind, module = _kind_of(section, values)
        if not module or f"{section}.kind" not in overridden or module == _kind_of(section, merged)[1]:
            continue
        try:
            import_user_module(module, f"{section}.kind = {shown(kind)}", ConfigError)
        except ConfigError as error:
            if not _is_missing(module, error.__cause__):
                say(" ".join(f"warning: {error}; keys that only this kind has can't be left out".split()))


def _kind_of(section: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """The kind that values give a section, and the user's module that has it; "" each if there is none."""
    table = values.get(section)
    kind = table.get("kind") if isinstance(table, Mapping) else None
    return (kind, kind.rpartition(":")[0]) if isinstance(kind, str) else ("", "")


def _is_missing(name: str, error: BaseException | None) -> bool:
    """Whether an import of the module failed because the module itself, or a package that holds it, isn't there."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def _as_a_module(name: str, missing: str = "") -> str:
    """What to write instead of a file's path, such as "my_envs/maze.py".

    Empty if that is none in this directory, or would be the module `missing`.
    """
    dotted = name.removeprefix("./").removesuffix(".py").replace("/", ".")
    return "" if dotted in (name, missing) or dotted.startswith(".") else f'; as a module it is "{dotted}"'


@contextmanager
def own_failures_as_own_code_error() -> Iterator[None]:
    """Turns an error that comes from a user's module, or its `sys.exit`, into an OwnCodeError that names its line.

    Other errors are raised unchanged, and so are those of a callback for progress that the caller gave to training.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if own := _own_frame(error):
            line = f"{own[0].f_code.co_qualname} failed at {_place(*own)}: {one_line(error)}"
        elif traced := _own_operation(error):
            line = f"{traced[0]} failed at {traced[1]}: {type(error).__name__}: {_reason(error)}"
        else:
            raise
        raise OwnCodeError(line, "".join(traceback.format_exception(error))) from error


@contextmanager
def own_updates_as_own_code_error(own: str, is_tracing: bool = False) -> Iterator[None]:
    """Turns an error of updates into an OwnCodeError if the user's parts are its cause, even where no line is known.

    TensorFlow adds a gradient's operations itself: no line of the user's module made them. Other errors, such as those
    of lost processes, are raised unchanged.

    Args:
      own: the sources of the user's parts that the updates are made of; empty: there are none.
      is_tracing: whether the block only traces the updates, so that an operation that can't be made is the parts'.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        is_of_operation = type(error).__name__ in _FAULTS_OF_OPERATIONS
        is_of_tracing = is_tracing and isinstance(error, ValueError | TypeError | LookupError) and not _is_ours(error)
        if not own or _own_frame(error) or not (is_of_operation or is_of_tracing):
            raise
        if traced := _own_operation(error):
            line = f"{traced[0]} failed at {traced[1]}"
        elif is_of_tracing:
            line = f"updates can't be made of {own}"
        elif _GRADIENT.search(str(error)):
            line = f"the gradient of {own} failed"
        else:
            raise
        reason = f"{type(error).__name__}: {_reason(error)}"
        raise OwnCodeError(f"{line}: {reason}", "".join(traceback.format_exception(error))) from error


def _is_ours(error: BaseException) -> bool:
    """Whether a line of this package, rather than one that it called, raised an error."""
    *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
    return _module(innermost).partition(".")[0] == __name__.partition(".")[0]


def _own_operation(error: BaseException) -> tuple[str, str] | None:
    """The function and place in a user's module of the operation in which TensorFlow's graph has failed, if it is one.

    TensorFlow's message has the stacks of where operations were made; XLA's shortens their files' paths. As of a
    traceback, a stack counts only from where it enters the user's modules: it may begin in the user's own program.
    """
    if not type(error).__module__.startswith("tensorflow."):
        return None
    files = [str(getattr(module, "__file__", "")) for name, module in list(sys.modules.items()) if _is_in_own(name)]
    stack = [(_own_file(path, files), line, name) for path, line, name in _STACK_LINE.findall(str(error))]
    entered = [
        i for i, (file, _, name) in enumerate(stack) if i and file and not stack[i - 1][0] and name != "<module>"
    ]
    if not entered:
        return None
    innermost = entered[-1]
    while innermost + 1 < len(stack) and stack[innermost + 1][0]:
        innermost += 1
    file, line, name = stack[innermost]
    return name, f"{file}:{line}"


def _own_file(path: str, files: Sequence[str]) -> str:
    """The file of a user's module that a path is of, perhaps without its beginning; empty if it is none."""
    return next((file for file in files if f"/{file}".endswith(f"/{path.lstrip('/')}")), "")


def _reason(error: BaseException) -> str:
    """What TensorFlow says of an operation that has failed, without the stacks of where it was made."""
    if not_in_xla := _NOT_IN_XLA.search(str(error)):
        return f"XLA can't compile the operation {not_in_xla[1]}; leave it out, or set learner.xla=off"
    said = (line.strip() for line in str(error).splitlines())
    return shortened(" ".join(line for line in said if line and not line.startswith(_NO_REASON)), 300)


def _own_frame(error: BaseException) -> tuple[FrameType, int] | None:
    """The innermost frame of a user's module in an error's traceback, and its line; None if there is none."""
    frames = list(traceback.walk_tb(error.__traceback__))
    entered = [outer for (outer, _), (inner, _) in pairwise(frames) if _is_own(inner) and not _is_own(outer)]
    if not entered or _module(entered[0]).startswith("tfdqn.training."):
        return None
    return next(each for each in reversed(frames) if _is_own(each[0]))


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line}"


def _is_own(frame: FrameType) -> bool:
    return _is_in_own(_module(frame))


def _is_in_own(module: str) -> bool:
    return module.partition(".")[0] in _packages


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
