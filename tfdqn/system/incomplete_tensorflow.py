"""`why_no_tensorflow`: tells an incomplete TensorFlow, as an interrupted pip leaves it, from other errors."""

import sys
import traceback
from types import ModuleType

from tfdqn.errors import one_line
from tfdqn.system.shell_commands import pip_install

_NAME = "tensorflow"


def why_no_tensorflow(error: BaseException) -> str:
    """One line that says why TensorFlow can't be imported, and how to install it; "" for an error of another cause."""
    if not _may_be_of_files(error):
        return ""
    package = sys.modules.get(_NAME)
    is_whole = hasattr(package, "__version__")  # without it a folder, of which the rest is missing
    if isinstance(error, ImportError):
        is_its_own = _is_inside(error.name)
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        is_its_own = not is_whole and _is_inside(error.obj.__name__)
    else:
        is_its_own = False
    while_importing = package is None and any(
        _is_inside(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    if not is_its_own and not while_importing:
        return ""
    return (
        f"TensorFlow can't be imported, since its installation is incomplete ({one_line(error)}); to install it again: "
        f"{pip_install(_requirement())} --force-reinstall"
    )


def _may_be_of_files(error: BaseException) -> bool:
    """Whether missing files may cause such an error: not if memory is short, a disk fails or the user interrupts."""
    if isinstance(error, OSError):
        return isinstance(error, FileNotFoundError)
    is_short = isinstance(error, MemoryError) or "Cannot allocate memory" in str(error)  # of a library: an ImportError
    return isinstance(error, Exception) and not is_short


def _is_inside(module: object) -> bool:
    """Whether a module of this name is TensorFlow or a part of it."""
    return str(module).partition(".")[0] == _NAME


def _requirement() -> str:
    """TensorFlow as pip takes it, in the version that tfdqn needs; with CUDA's libraries if they are installed."""
    from importlib import metadata  # late: slow to import

    has_cuda = any(metadata.distributions(name="nvidia-cudnn-cu12"))
    needed = metadata.requires(__name__.partition(".")[0]) or []
    found = [each.partition(";")[0].strip() for each in needed if each.startswith((f"{_NAME}==", f"{_NAME}["))]
    return max(found, key=lambda each: ("[and-cuda]" in each) == has_cuda)
