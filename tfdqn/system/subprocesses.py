"""Processes that this one starts on its own host: none outlives it, and each is reached on loopback."""

import ctypes
import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tfdqn.errors import ClusterError
from tfdqn.system.addresses import LOOPBACK, host_and_port, with_host

# Below those that systems give to outgoing connections: a process that comes back finds its own port free.
PORTS = range(20_000, 32_000)
_PR_SET_PDEATHSIG = 1


def start_process(
    command: Sequence[str], log: Path, environment: Mapping[str, str | None]
) -> subprocess.Popen:
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
            preexec_fn=_dies_with(os.getpid()),
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


def free_addresses(count: int, avoid: Collection[str] = ()) -> list[str]:
    """Addresses on loopback that nobody serves now, none of `avoid`. Raises ClusterError where there are too few."""
    first = random.randrange(len(PORTS))
    found: list[str] = []
    for port in [*PORTS[first:], *PORTS[:first]]:
        if len(found) == count:
            return found
        address = with_host(port, LOOPBACK)
        if address not in avoid and is_free(address):
            found.append(address)
    raise ClusterError(f"of the ports {PORTS.start} to {PORTS.stop} only {len(found)} are free, not {count}")


def is_free(address: str) -> bool:
    """Whether "host:port" can be served from here now."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections that have just ended don't count
        try:
            probe.bind(host_and_port(address))
        except OSError:
            return False
    return True


def _dies_with(parent: int) -> Callable[[], None]:
    """For the child: the kernel ends it when its parent is gone, however that ended."""
    prctl = ctypes.CDLL(None).prctl

    def before_it_runs() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return before_it_runs
