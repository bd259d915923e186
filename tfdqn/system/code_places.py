"""Where code that tfdqn calls, an environment's or the user's, raised an exception, or has not returned yet."""

import sys
import sysconfig
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

# What calls environments: no environment's code, though gymnasium has environments of its own.
_CALLERS = ("tfdqn", "gymnasium")
_ENVIRONMENTS = "tfdqn.tasks"  # whose modules alone call environments
METHODS = ("reset", "step", "render", "close")  # others are called while an environment is made
MAKING = "the call that makes an environment"
_INSTALLED = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_GENERATED = "__autograph_generated_file"  # how the names of TensorFlow's own files begin

Frames = Sequence[tuple[FrameType, int]]  # each with its line, the outermost first


class Place(NamedTuple):
    """A line of code."""

    name: str  # of the function, or of the module
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.name} at {self.file}:{self.line}"


def innermost(frames: Frames) -> Place | None:
    """The innermost line of code that is neither installed nor tfdqn's, which is most often the user's.

    Else that of the environment's installed package; None if there is none.
    """
    written = [each for each in frames if _package(each[0]) not in _CALLERS and not _is_of_python(_file(each[0]))]
    if own := [each for each in written if _is_users(_file(each[0]))]:
        return _place(*own[-1])
    return next((_place(*each) for each in reversed(written) if _package(each[0]) == _package(written[0][0])), None)


def begins_in_callers(frames: Frames) -> bool:
    """Whether tfdqn or gymnasium has called the outermost of the frames."""
    return bool(frames) and _package(frames[0][0]) in _CALLERS


def stack_of(thread: int) -> list[tuple[FrameType, int]]:
    """Where the thread of that `ident` is now; empty if it has ended."""
    frame = sys._current_frames().get(thread)
    return [] if frame is None else list(traceback.walk_stack(frame))[::-1]


def called_by_tfdqn(frames: Frames) -> Frames:
    """The innermost frames, from tfdqn's last one on; empty if there is none of tfdqn's."""
    last = max((index for index, (frame, _) in enumerate(frames) if _package(frame) == "tfdqn"), default=len(frames))
    return frames[last:]


def calls_to_environments() -> list[FrameType]:
    """The calls to environments, or to what makes them, that have not returned yet: the outermost frame of each."""
    found = (called_by_tfdqn(stack_of(thread)) for thread in sys._current_frames())
    return [frames[1][0] for frames in found if len(frames) > 1 and _is_call_to_environment(frames)]


def places_of_threads() -> list[str]:
    """Where the other threads are in code that tfdqn calls, an environment's or the user's; the main thread first."""
    main, this = threading.main_thread().ident, threading.get_ident()
    others = sorted(sys._current_frames().keys() - {this}, key=lambda thread: thread != main)
    found = (_place_called(called_by_tfdqn(stack_of(thread))) for thread in others)
    return list(dict.fromkeys(filter(None, found)))


def _place_called(frames: Frames) -> str:
    """The innermost line of the environment's or the user's code that tfdqn has called; "" if it has called none."""
    if len(frames) < 2:
        return ""
    called = frames[1:]
    if not _is_call_to_environment(frames):
        called = [each for each in called if _is_users(_file(each[0]))]  # else a library's that tfdqn itself uses
        return str(innermost(called) or "")
    call = called[0][0].f_code.co_name
    return str(innermost(called) or (f"{call}() of an environment" if call in METHODS else MAKING))


def _is_call_to_environment(frames: Frames) -> bool:
    """Whether the caller is tfdqn's code for tasks, in which nothing else takes long."""
    return str(frames[0][0].f_globals.get("__name__", "")).startswith(_ENVIRONMENTS)


def _place(frame: FrameType, line: int) -> Place:
    code, module = frame.f_code, str(frame.f_globals.get("__name__", ""))
    return Place(module if code.co_qualname == "<module>" else code.co_qualname, code.co_filename, line)


def _is_users(file: str) -> bool:
    """Whether a file is code that is not installed."""
    is_file = file.startswith("/") and not Path(file).name.startswith(_GENERATED)
    return is_file and not file.startswith(_INSTALLED)


def _is_of_python(file: str) -> bool:
    """Whether a file is of Python's own library, or no file at all."""
    is_package = any(f"/{folder}/" in file for folder in ("site-packages", "dist-packages"))
    return not file.startswith("/") or (file.startswith(_INSTALLED) and not is_package)


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
