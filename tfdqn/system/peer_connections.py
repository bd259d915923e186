"""`ConnectionGuard`: breaks the connections of TensorFlow or Reverb to a peer that can't be reached any more.

A cut network, or a host without power, breaks none: the system would tell the libraries after a quarter of an hour,
and their calls wait as long; even after a short cut its pauses between two attempts are as long as the cut was. Once
broken, calls fail at once, and the libraries connect anew.
"""

import ipaddress
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from tfdqn.system.addresses import host_and_port
from tfdqn.system.interval import IntervalTrigger

_CONNECT_SECONDS = 2.0
_MOST_OFTEN_SECONDS = 1.0
_PROBE_SECONDS = 5.0
_STUCK_ATTEMPTS = 3
_PEER, _ATTEMPTS, _INODE = 2, 6, 9  # columns of /proc/net/tcp
_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class ConnectionGuard:
    """Of this process's connections to one peer. `check` is called for as long as the peer may be gone.

    Args:
      address: "host:port".
    """

    def __init__(self, address: str):
        self.address = address
        self._lock = threading.Lock()
        self._trigger = IntervalTrigger(_MOST_OFTEN_SECONDS, is_due=True)

    def check(self) -> None:
        """Breaks them if no process listens at the address: in the background, and once a second at most."""
        threading.Thread(target=self._check, name="connections", daemon=True).start()

    def _check(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:  # else another thread is at it
            if self._trigger.is_due():
                if not is_reachable(self.address):
                    break_connections(self.address)
                self._trigger.done()
        finally:
            self._lock.release()


def guard_connections(replay_servers: Iterable[str], tensorflow: Iterable[str] = ()) -> None:
    """Does so from now on, in a thread, for a process that can't know whether it waits for a peer that is gone.

    Args:
      replay_servers: asked every few seconds.
      tensorflow: its servers hold every connection that says nothing for two minutes, two files open for each: so they
        are only asked where something that was sent to them has not arrived.
    """
    always = [ConnectionGuard(each) for each in replay_servers]
    where_stuck = [ConnectionGuard(each) for each in tensorflow]

    def check_forever() -> None:
        while True:
            for guard in [*always, *(each for each in where_stuck if is_stuck(each.address))]:
                guard.check()
            time.sleep(_PROBE_SECONDS)

    threading.Thread(target=check_forever, name="connections", daemon=True).start()


def is_reachable(address: str) -> bool:
    """Whether a process listens at "host:port": the system answers, even for one that is stopped or busy."""
    try:
        socket.create_connection(host_and_port(address), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def is_stuck(address: str) -> bool:
    """Whether something that this process's network sent to "host:port" is being sent again and again."""
    peers = _peers(address)
    return any(each.peer in peers and each.attempts >= _STUCK_ATTEMPTS for each in _connections())


def break_connections(address: str) -> int:
    """Breaks every connection of this process to "host:port", those that are being made included; how many."""
    peers = _peers(address)
    inodes = {each.inode for each in _connections() if each.peer in peers}
    return sum(_break_if_among(int(entry), inodes) for entry in os.listdir("/proc/self/fd"))


def _peers(address: str) -> set[tuple[_IpAddress, int]]:
    try:
        found = socket.getaddrinfo(*host_and_port(address), type=socket.SOCK_STREAM)
    except OSError:
        return set()  # the name is no longer known
    return {(ipaddress.ip_address(peer[0]), int(peer[1])) for *_, peer in found}


def _break_if_among(number: int, inodes: Collection[int]) -> bool:
    """Breaks a file descriptor's connection if it is one of these; whether it was."""
    with suppress(OSError):  # it has been closed meanwhile
        copy = os.dup(number)  # another file may get the number, but not the copy's
        try:
            status = os.fstat(copy)
            if not stat.S_ISSOCK(status.st_mode) or status.st_ino not in inodes:
                return False
            with socket.socket(fileno=os.dup(copy)) as connection:
                connection.shutdown(socket.SHUT_RDWR)
            return True
        finally:
            os.close(copy)
    return False


class _Connection(NamedTuple):
    inode: int
    peer: tuple[_IpAddress, int]
    attempts: int  # to send the same again, since anything arrived last


def _connections() -> Iterator[_Connection]:
    """Every TCP socket of this host; not by `getpeername`, which knows none that is being connected."""
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError), open(f"/proc/self/net/{name}", encoding="ascii") as file:
            next(file)  # the columns' names
            for line in file:
                columns = line.split()
                host, _, port = columns[_PEER].partition(":")
                peer = (_ip_address(host), int(port, 16))
                yield _Connection(int(columns[_INODE]), peer, int(columns[_ATTEMPTS], 16))


def _ip_address(digits: str) -> _IpAddress:
    """As the kernel prints it: words of 32 bits, each in the machine's own order."""
    words = [int(digits[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(digits), 8)]
    found = ipaddress.ip_address(b"".join(words))
    return getattr(found, "ipv4_mapped", None) or found
