"""Clients that measure a server's latency: each asks again at once, or requests come at a given rate.

All clients share one thread and one `epoll`. With a thread each, they would measure how they wait for one another.

python -m benchmarks.serving_clients PORT PATH CLIENTS SECONDS [--rate R] < BODY
"""

import argparse
import json
import selectors
import socket
import statistics
import sys
import time
from collections import deque

_PATIENCE_SECONDS = 60.0
_MOST_AT_ONCE_BYTES = 2**20


class _Client:
    """One connection.

    Attributes:
      since: when its request was made, or was due.
    """

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self._answer = bytearray()
        self._length = 0

    def ask(self, request: bytes, since: float) -> None:
        self.since = since
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Reads what has arrived. Raises SystemExit if the server closes the connection or the status is not 200."""
        if not (received := self.socket.recv(_MOST_AT_ONCE_BYTES)):
            raise SystemExit(f"the server closed a connection after {bytes(self._answer)!r}")
        self._answer += received
        if not self._length and (end := self._answer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._answer[:end]).lower()
            if not head.startswith(b"http/1.1 200 "):
                raise SystemExit(f"the server answered {bytes(self._answer)!r}")
            self._length = end + 4 + int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if not self._length or len(self._answer) < self._length:
            return False
        self._answer.clear()
        self._length = 0
        return True


class Clients:
    """Connections to a server, each with one request at a time."""

    def __init__(self, port: int, request: bytes, count: int):
        self._request = request
        self._free = deque(_Client(port) for _ in range(count))
        self._count = count
        self._ready = selectors.EpollSelector()
        for client in self._free:
            self._ready.register(client.socket, selectors.EVENT_READ, client)

    def ask_again_at_once(self, seconds: float) -> tuple[list[float], float]:
        """The latencies in seconds, and the seconds that it all took. Every request begins within `seconds`."""
        latencies: list[float] = []
        begun = time.perf_counter()
        while True:
            while self._free and (now := time.perf_counter()) < begun + seconds:
                self._free.popleft().ask(self._request, now)
            if len(self._free) == self._count:
                return latencies, time.perf_counter() - begun
            self._take(latencies, _PATIENCE_SECONDS)

    def ask_at_a_rate(self, seconds: float, per_second: float) -> tuple[list[float], float]:
        """The same at even intervals. Latencies count from when a request was due, not from when it was sent."""
        latencies: list[float] = []
        begun, sent, total = time.perf_counter(), 0, int(seconds * per_second)
        while len(latencies) < total:
            due = begun + sent / per_second
            while sent < total and self._free and due <= time.perf_counter():
                self._free.popleft().ask(self._request, due)
                sent += 1
                due = begun + sent / per_second
            is_waiting = sent < total and self._free
            self._take(latencies, max(0.0, due - time.perf_counter()) if is_waiting else _PATIENCE_SECONDS)
        return latencies, time.perf_counter() - begun

    def _take(self, latencies: list[float], patience_seconds: float) -> None:
        ready = self._ready.select(timeout=patience_seconds)
        if not ready and patience_seconds == _PATIENCE_SECONDS:
            raise SystemExit("the server does not answer")
        for key, _ in ready:
            if key.data.is_answered():
                latencies.append(time.perf_counter() - key.data.since)
                self._free.append(key.data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("clients", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--rate", type=float, help="requests/s of all together; without, each asks again at once")
    options = parser.parse_args()
    body = sys.stdin.buffer.read()
    head = f"POST {options.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    clients = Clients(options.port, head + body, options.clients)
    begun = time.process_time()
    if options.rate is None:
        latencies, elapsed = clients.ask_again_at_once(options.seconds)
    else:
        latencies, elapsed = clients.ask_at_a_rate(options.seconds, options.rate)
    used = time.process_time() - begun
    cuts = statistics.quantiles(latencies, n=100)
    found = {
        "requests": len(latencies),
        "requests/s": len(latencies) / elapsed,
        "p50 ms": 1000 * cuts[49],
        "p99 ms": 1000 * cuts[98],
        "CPU of a request, clients: µs": 1e6 * used / len(latencies),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
