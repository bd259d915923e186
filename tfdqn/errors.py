"""Errors that end a process in one line for each mistake, without a traceback.

The exit status is 2 if only the user can correct the mistake, and another if the process should be started again.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_MOST_SHOWN = 20  # lines of one error


class UserError(Exception):
    """Bad input, described in one line, or in one for each wrong key: what, where, and what is allowed."""

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython, and so a notebook, shows of it: no traceback."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(UserError):
    """A key of the configuration that is unknown, of the wrong type, out of range or contradictory."""


class ConfigErrors(ConfigError):
    """Several mistakes in a configuration, each of which a ConfigError would say by itself.

    Attributes:
      lines: a line about each.
      shown: the first twenty of these, and a line that says how many more there are; the error's text.
    """

    def __init__(self, lines: Sequence[str]):
        left = len(lines) - _MOST_SHOWN
        self.lines = tuple(lines)
        self.shown = (*lines[:_MOST_SHOWN], *([f"and {left} more"] if left > 0 else []))
        super().__init__("\n".join(self.shown))

    def __reduce__(self) -> tuple[type["ConfigErrors"], tuple[tuple[str, ...]]]:
        return type(self), (self.lines,)  # pickle would give the text, the only one of `args`


class TaskError(UserError):
    """A task that is unknown, not installed, or that DQN can't learn."""


class PackageMissingError(TaskError):
    """A task whose package is not installed on this host; the host that runs the task may have it."""


class FaultyTaskError(TaskError):
    """An environment that breaks its contract: a wrong shape, type or number, or no legal action."""


class RunDirError(UserError):
    """A run directory that is in use, damaged, or belongs to another configuration."""


class CheckpointError(RunDirError):
    """A checkpoint that is missing, damaged or could not be written (a full disk, say)."""


class UserCodeError(UserError):
    """The user's own code has failed.

    Attributes:
      traceback: the traceback of the exception that it raised; empty if it raised none.
    """

    def __init__(self, message: str, traceback: str = ""):
        super().__init__(message)
        self.traceback = traceback


class EnvironmentFailedError(UserCodeError, TaskError):
    """An environment that has raised, or whose process has ended."""


class OwnCodeError(UserCodeError):
    """A loss, a head or another part from the user's own module raised, or returned something invalid."""


class NotFiniteError(UserError):
    """A loss, an observation or a reward that is NaN or infinite; names which, and at which step."""


class NotFiniteTaskError(NotFiniteError, FaultyTaskError):
    """An environment's observation or reward that is NaN or infinite."""


class VideoError(UserError):
    """A video that could not be recorded.

    Attributes:
      report: the evaluation, which is complete apart from the video.
    """

    def __init__(self, message: str, report: Any):
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type["VideoError"], tuple[str, Any]]:
        return type(self), (str(self), self.report)  # pickle would leave out the report, which isn't in `args`


class PlatformError(UserError):
    """A machine or a Python that TensorFlow or Reverb can't be installed on."""


class ClusterError(UserError):
    """A learning process that could not be started, reached, or has ended."""


class RefusedProcessError(ClusterError):
    """A process of a job that has ended with an error that only the user can fix: it would meet it again."""


RESTART_STATUS = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong with this process; start it again
FAILED_STATUS = 70  # EX_SOFTWARE: what this process ran has failed, and may succeed in a new one
STOPPED_STATUS = 143  # a shell's status for SIGTERM: the process was stopped before it had finished; start it again


class PeerLostError(Exception):
    """A process that this one needs has ended or is silent: this one ends, and both are started again."""


class ProcessFailedError(Exception):
    """A process of a job has failed, but not through an error of the user's: a new one may succeed."""


def as_path(value: object, what: str, error: type[UserError] = UserError) -> Path:
    """Converts a path that was given in Python; "~" is the home directory, as in a shell.

    Raises `error` if `value` is not a path, or is empty; `what` names the thing whose path is needed.
    """
    if value == "":
        raise error(f"the path of {what} is needed; the argument is empty")
    if isinstance(value, str | os.PathLike):
        return Path(os.path.expanduser(value))
    raise error(f"the path of {what} is needed, as text or a pathlib.Path; the argument is {of_type(value)}")


def why_no_directory(path: Path) -> str:
    """Words that follow a path, such as "doesn't exist"; empty if it is a directory."""
    if path.is_dir():
        return ""
    if path.exists():
        return "is a file, not a directory"
    return "is a link to what doesn't exist" if path.is_symlink() else "doesn't exist"


def of_type(value: object) -> str:
    """A value of the wrong type, in words: "of type Summary"."""
    return "None" if value is None else f"of type {type(value).__name__}"


_MAX_LISTED = 5


def listed(each: Sequence[str]) -> str:
    """Joins findings into one line: the first five, and how many more there are."""
    left = len(each) - _MAX_LISTED
    return "; ".join(each[:_MAX_LISTED]) + (f"; and {left} more" if left > 0 else "")


def counted(count: int, what: str) -> str:
    """A number of things: "1 seed", "2,000 seeds"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def in_ranges(numbers: Iterable[int], dash: str) -> list[str]:
    """Ascending numbers, those that follow one another as a range: 1, 2, 3, 8 → "1-3", "8"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return [str(first) if first == last else f"{first}{dash}{last}" for first, last in parts]


def nearest_are(names: Sequence[str]) -> str:
    """Words that name what comes nearest to an unknown name: one or more."""
    return f"the nearest {'are' if len(names) > 1 else 'is'} {', '.join(names)}"


def first_line(error: BaseException) -> str:
    """The first line of the error's message, or its type if it has no message."""
    said = (line.strip() for line in str(error).splitlines())
    return next(filter(None, said), type(error).__name__)


def message_in_one_line(error: BaseException) -> str:
    """The error's message on one line; the mistakes of a ConfigErrors are joined by "; "."""
    if isinstance(error, ConfigErrors):
        return "; ".join(" ".join(line.split()) for line in error.shown)
    return " ".join(str(error).split())


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and "..." if it has more than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def type_and_message(error: BaseException) -> str:
    """Describes an error as "ValueError: its message", on one line of at most 300 characters."""
    return shortened(f"{type(error).__name__}: {message_in_one_line(error)}".removesuffix(": "), 300)


def one_line(error: BaseException) -> str:
    """As `type_and_message`, but of a UserError the message alone, however long: the user needs all of its mistakes."""
    return message_in_one_line(error) if isinstance(error, UserError) else type_and_message(error)
