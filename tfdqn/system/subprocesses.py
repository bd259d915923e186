"""Processes that this one starts on its own host: none outlives it."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LAST_LINE_BYTES = 20_000


def start_process(command: Sequence[str], log: Path, environment: Mapping[str, str | None]) -> subprocess.Popen:
    """Starts a process that the kernel kills when this thread's end takes its parent away.

    Args:
      command: what it runs.
      log: what it prints is added there.
      environment: variables to set besides this process's own; with None, to leave out.
    """
    variables = {**os.environ, **environment}
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={name: value for name, value in variables.items() if value is not None},
            start_new_session=True,  # Ctrl-C is for the parent, which ends the others in order
            preexec_fn=dies_with(os.getpid()),
        )


def status_when_ended(process: subprocess.Popen) -> int | None:
    """Its exit status, or minus the signal that ended it; then nothing that it had started is left. None: it runs."""
    if process.returncode is None:
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
        # Before it is reaped: its number can't be another's yet.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.poll()


def how_it_ended(status: int) -> str:
    """In words."""
    if status >= 0:
        return f"has ended with status {status}"
    known = {number.value: f" ({number.name})" for number in signal.Signals}
    return f"was killed by signal {-status}{known.get(-status, '')}"


def last_line(log: Path, since_bytes: int, beginning: str = "") -> str:
    """The last line of a log that begins so, of those after so many bytes; empty if there is none."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(since_bytes, log.stat().st_size - _LAST_LINE_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip() and line.startswith(beginning)), "")
    return ""


def dies_with(parent: int) -> Callable[[], None]:
    """For a child of that number to call: the kernel ends it when its parent, or the thread there that started it, is
    gone, however that ended."""
    prctl = ctypes.CDLL(None).prctl

    def before_it_runs() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return before_it_runs
