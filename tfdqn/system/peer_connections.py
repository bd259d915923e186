"""`ConnectionGuard`: breaks the connections of TensorFlow or Reverb to a peer that can't be reached any more.

If the network is cut or a host loses power, connections stay open: the system reports an error only after a quarter of
an hour, for which the libraries' calls block. Even after a short cut, TCP waits between two attempts for as long as
the cut lasted. Once a connection is broken, calls fail at once, and the libraries reconnect.
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
_MIN_INTERVAL_SECONDS = 1.0
_PROBE_SECONDS = 5.0
_STUCK_ATTEMPTS = 3
_PEER, _ATTEMPTS, _INODE = 2, 6, 9  # columns of /proc/net/tcp
_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class ConnectionGuard:
    """Guards this process's connections to one peer, "host:port". Call `check` repeatedly while it may be gone."""

    def __init__(self, address: str):
        self.address = address
        self._lock = threading.Lock()
        self._trigger = IntervalTrigger(_MIN_INTERVAL_SECONDS, is_due=True)

    def check(self) -> None:
        """Breaks the connections if no process listens at the address; in the background, at most once a second."""
        threading.Thread(target=self._check, name="connections", daemon=True).start()

    def _check(self) -> None:
        if not self._lock.acquire(blocking=False):
            return  # another thread is checking
        try:
            if self._trigger.is_due():
                if not is_reachable(self.address):
                    break_connections(self.address)
                self._trigger.done()
        finally:
            self._lock.release()


def guard_connections(replay_servers: Iterable[str], tensorflow: Iterable[str] = ()) -> None:
    """Guards connections from now on, in a thread, for a process that can't tell whether it waits for a dead peer.

    Args:
      replay_servers: addresses that are probed every few seconds.
      tensorflow: addresses of TensorFlow's servers. A probe costs them two file descriptors for two minutes, so they
        are probed only if something that was sent to them hasn't been acknowledged.
    """
    always = [ConnectionGuard(each) for each in replay_servers]
    if_stuck = [ConnectionGuard(each) for each in tensorflow]

    def check_forever() -> None:
        while True:
            for guard in [*always, *(each for each in if_stuck if is_stuck(each.address))]:
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
    """Whether this host's TCP keeps retransmitting something that was sent to "host:port"."""
    peers = _peers(address)
    return any(each.peer in peers and each.attempts >= _STUCK_ATTEMPTS for each in _connections())


def break_connections(address: str) -> int:
    """Breaks every connection of this process to "host:port", even unfinished ones; returns how many."""
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
    """Breaks a file descriptor's connection if its inode is one of these; returns whether it was."""
    with suppress(OSError):  # the descriptor was closed since
        copy = os.dup(number)  # the number may be reused for another file, the copy can't
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
    attempts: int  # retransmissions since the last acknowledgement


def _connections() -> Iterator[_Connection]:
    """Every TCP socket in this network namespace; `getpeername` would miss those that are being connected."""
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError), open(f"/proc/self/net/{name}", encoding="ascii") as file:
            next(file)  # the columns' names
            for line in file:
                columns = line.split()
                host, _, port = columns[_PEER].partition(":")
                peer = (_ip_address(host), int(port, 16))
                yield _Connection(int(columns[_INODE]), peer, int(columns[_ATTEMPTS], 16))


def _ip_address(digits: str) -> _IpAddress:
    """Parses an address as the kernel prints it: 32-bit words in the machine's byte order."""
    words = [int(digits[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(digits), 8)]
    found = ipaddress.ip_address(b"".join(words))
    return getattr(found, "ipv4_mapped", None) or found
