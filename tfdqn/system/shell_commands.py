"""Commands to print for the user to paste: each program is named so that the user's shell finds it."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"  # exists if the package runs from a clone


def own_command(arguments: Sequence[str]) -> str:
    """This program, as it was called (`tfdqn`, `.venv/bin/tfdqn` or `python -m tfdqn`), with other arguments."""
    folder, name = os.path.split(sys.argv[0])
    program = ["tfdqn"]  # also where it was called from Python
    if name == "tfdqn":
        program = [_name_in_shell(sys.argv[0])]
    elif name == "__main__.py" and os.path.basename(folder) == "tfdqn":
        program = [_name_in_shell(sys.executable), "-m", "tfdqn"]
    return shlex.join([*program, *arguments])


def as_argument(path: Path | str) -> str:
    """A path as a command-line argument; one that begins with "-" isn't taken for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def from_here(path: Path) -> Path:
    """An absolute path, relative if it is below the working directory, which may have been removed meanwhile."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return path
    return path.relative_to(here) if here in path.parents else path


def pip_install(*requirements: str) -> str:
    """The command that installs packages for this Python; in a clone, at versions compatible with the tested ones."""
    return _pip_command() + "".join(f' "{each}"' for each in requirements)


def install_extra(extra: str) -> str:
    """The command that installs an extra of tfdqn; in a clone, which stays editable, at the tested versions."""
    if not _CONSTRAINTS.is_file():
        return pip_install(f"tfdqn[{extra}]")
    clone = os.path.relpath(_CONSTRAINTS.parent)
    path = clone if clone.startswith(os.curdir) else os.path.join(os.curdir, clone)  # a bare name is a package's
    return f'{_pip_command()} -e "{path}[{extra}]"'


def _pip_command() -> str:
    """`python -m pip install`, with this Python's path: PATH may lead to it in this process only (`uv run`)."""
    constraint = ["--constraint", os.path.relpath(_CONSTRAINTS)] if _CONSTRAINTS.is_file() else []
    return shlex.join([_path_in_shell(sys.executable), "-m", "pip", "install", *constraint])


def _name_in_shell(program: str) -> str:
    """A program's bare name if PATH leads to it, else its path."""
    path = os.path.abspath(program)
    name = os.path.basename(path)
    found = shutil.which(name)
    return name if found and os.path.abspath(found) == path else _path_in_shell(path)


def _path_in_shell(program: str) -> str:
    """A program's path, relative if it is below the working directory."""
    path = str(from_here(Path(os.path.abspath(program))))
    return path if os.sep in path else os.path.join(os.curdir, path)
