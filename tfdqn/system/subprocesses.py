"""Starts child processes on this host, none of which outlives this process, and reports how they ended."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

_PR_SET_PDEATHSIG = 1
_LAST_LINE_BYTES = 20_000
_SHOWN_CHARACTERS = 300  # the most of a process's last line that is shown
_OWN = "tfdqn: "  # how the line begins in which a process of tfdqn says what has ended it
TFDQN = (sys.executable, "-m", "tfdqn")  # the beginning of a command line


class ChildHandle(Protocol):
    """A child of this process: a `subprocess.Popen`, or a `fork_server.ForkedProcess`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Its exit status, or minus the signal that ended it; None if it still runs."""


# (command line, log, environment) → the child, as `start_process` describes them
Starter = Callable[[Sequence[str], Path, Mapping[str, str | None]], ChildHandle]


def start_process(command: Sequence[str], log: Path, environment: Mapping[str, str | None]) -> subprocess.Popen:
    """Starts a process that the kernel kills when the thread that calls this ends.

    Args:
      command: its command line.
      log: a file to which its output is appended.
      environment: variables to set in addition to this process's own; with None, to remove.
    """
    variables = {**os.environ, **environment}
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={name: value for name, value in variables.items() if value is not None},
            start_new_session=True,  # only the parent gets a Ctrl-C; it ends its children in order
            preexec_fn=dies_with(os.getpid()),
        )


def status_when_ended(process: ChildHandle) -> int | None:
    """A process's exit status, or minus the signal that ended it; None if it still runs.

    Once it has ended, everything that it had started in its process group is killed.
    """
    if process.returncode is None:
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
        # Before it is reaped, so that its pid can't be another's yet.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.poll()
    return process.returncode


def run_captured(command: Sequence[str], timeout_seconds: float, **settings: Any) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run`, and captures what the command prints, as text; what isn't UTF-8 in it is replaced."""
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout_seconds, **settings
    )


def last_error(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of the errors that a command has printed, or its status if there are none."""
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


def how_it_ended(status: int) -> str:
    """Says how a process ended, in words that follow its name."""
    if status >= 0:
        return f"has ended with status {status}"
    known = {number.value: f" ({number.name})" for number in signal.Signals}
    return f"was killed by signal {-status}{known.get(-status, '')}"


def logged_end(status: int, log: Path, since_bytes: int) -> str:
    """As `how_it_ended`; if it wasn't killed, with the last line in its log after the first `since_bytes`.

    It is the last line of tfdqn's own if there is one.
    """
    said = (own_line(log, since_bytes) or last_line(log, since_bytes))[:_SHOWN_CHARACTERS] if status > 0 else ""
    return how_it_ended(status) + (f" ({said})" if said else "")


def own_line(log: Path, since_bytes: int) -> str:
    """The last line in which tfdqn itself says what has ended a process, without "tfdqn: "; "" if there is none."""
    return last_line(log, since_bytes, _OWN).removeprefix(_OWN)


def last_line(log: Path, since_bytes: int, beginning: str = "") -> str:
    """The last line with this beginning in a log, after its first `since_bytes`; "" if there is none."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(since_bytes, log.stat().st_size - _LAST_LINE_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip() and line.startswith(beginning)), "")
    return ""


def dies_with(parent: int) -> Callable[[], None]:
    """Returns a function for a child of the process `parent`, after which the kernel kills it when that ends.

    That is when the parent's thread that started the child ends, in whatever way.
    """
    prctl = ctypes.CDLL(None).prctl

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return die_with_parent
