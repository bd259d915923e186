"""`Metrics`: counts of requests, and the text in which Prometheus reads these and others (its format 0.0.4)."""

import os
import resource
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset(("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"))
_STARTED = time.time()
Labels = tuple[tuple[str, object], ...]


class Histogram:
    """How many values are at most each bound, how many there are, and their sum."""

    def __init__(self, bounds: Iterable[float]):
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self, labels: Labels = ()) -> Iterator[tuple[str, Labels, float]]:
        for bound, count in zip((*self._bounds, "+Inf"), accumulate(self._counts), strict=True):
            yield "_bucket", (*labels, ("le", bound)), count
        yield "_sum", labels, self._sum
        yield "_count", labels, sum(self._counts)


class Family(NamedTuple):
    """One metric: its samples are suffixes of its name, labels and values."""

    name: str
    kind: str
    help: str
    samples: Iterable[tuple[str, Labels, float]]

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for suffix, labels, value in self.samples:
            shown = ",".join(f'{name}="{each}"' for name, each in labels)
            yield f"{self.name}{suffix}{{{shown}}} {value}" if shown else f"{self.name}{suffix} {value}"


class Metrics:
    """Of the requests to one server, by path, method and status: never more than these have values."""

    def __init__(self) -> None:
        self._requests: Counter[Labels] = Counter()
        self._seconds: dict[str, Histogram] = {}

    def add_request(self, path: str, method: str, status: int, seconds: float) -> None:
        """Args: path: as its route has it, with names in place of values."""
        method = method if method in _METHODS else "other"
        self._requests[("path", path), ("method", method), ("status", status)] += 1
        (self._seconds.get(path) or self._seconds.setdefault(path, Histogram(_SECONDS))).add(seconds)

    def families(self) -> Iterator[Family]:
        counts = [("", labels, count) for labels, count in self._requests.items()]
        yield Family("tfdqn_requests_total", "counter", "Requests that were answered.", counts)
        taken = [each for path, found in self._seconds.items() for each in found.samples((("path", path),))]
        yield Family("tfdqn_request_seconds", "histogram", "From a request's head to its answer's last byte.", taken)


def gauge(name: str, help: str, values: Mapping[Labels, float] | float) -> Family:
    found = values if isinstance(values, Mapping) else {(): values}
    return Family(name, "gauge", help, [("", labels, value) for labels, value in found.items()])


def process_families() -> Iterator[Family]:
    """Of this process, by the names that Prometheus' own clients have."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = [("", (), used.ru_utime + used.ru_stime)]
    yield Family("process_cpu_seconds_total", "counter", "User and system CPU time.", cpu)
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    yield gauge("process_resident_memory_bytes", "Resident memory.", resident)
    yield gauge("process_open_fds", "Open files, connections among them.", len(os.listdir("/proc/self/fd")))
    yield gauge("process_start_time_seconds", "Start, in seconds since 1970.", _STARTED)


def text(families: Iterable[Family]) -> str:
    """What a request for metrics is answered."""
    return "".join(f"{line}\n" for family in families for line in family.lines())
