"""Metrics are counts that add up, in Prometheus' text format."""

import re
import resource
import time

import numpy as np

from tfdqn.serving.metrics import Family, Histogram, Metrics, gauge, process_families, text

SAMPLE = re.compile(r'([a-z_]+)(\{[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*\})? (\S+)')


def read(found: str) -> dict[str, float]:
    """Name and labels → value; each sample stands below its family's help and type."""
    values: dict[str, float] = {}
    family = ""
    for line in found.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert len(line.split()) > 3
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family and line.split()[3] in ("counter", "gauge", "histogram")
        else:
            parts = SAMPLE.fullmatch(line)
            assert parts and parts[1] in {family, *(family + end for end in ("_bucket", "_sum", "_count"))}
            key = parts[1] + (parts[2] or "")
            assert key not in values
            values[key] = float(parts[3])
    return values


def test_a_histogram_counts_what_is_at_most_each_bound() -> None:
    bounds, generator = (0.5, 1.0, 2.0), np.random.default_rng(0)
    values = [*bounds, *generator.exponential(1.0, 1000)]
    histogram = Histogram(bounds)
    for value in values:
        histogram.add(value)
    found = read(text([Family("h", "histogram", "Some values.", histogram.samples())]))
    for bound in (*bounds, np.inf):
        name = "+Inf" if bound == np.inf else bound
        assert found[f'h_bucket{{le="{name}"}}'] == sum(value <= bound for value in values)
    assert found["h_count"] == 1003
    np.testing.assert_allclose(found["h_sum"], sum(values))


def test_requests_are_counted_by_path_method_and_status() -> None:
    metrics = Metrics()
    for path, method, status, seconds in (
        *(("/a", "GET", 200, 0.001), ("/a", "GET", 200, 0.2), ("/a", "POST", 400, 40.0)),
        *(("/b", "BREW", 400, 0.0), ("/b", "STEEP", 400, 0.0)),
    ):
        metrics.add_request(path, method, status, seconds)
    found = read(text(metrics.families()))
    counts = {key: value for key, value in found.items() if key.startswith("tfdqn_requests_total")}
    assert counts == {
        'tfdqn_requests_total{path="/a",method="GET",status="200"}': 2,
        'tfdqn_requests_total{path="/a",method="POST",status="400"}': 1,
        'tfdqn_requests_total{path="/b",method="other",status="400"}': 2,
    }
    buckets = [found[f'tfdqn_request_seconds_bucket{{path="/a",le="{each}"}}'] for each in ("0.001", "0.25", "30.0")]
    assert buckets == [1, 2, 2]
    assert found['tfdqn_request_seconds_bucket{path="/a",le="+Inf"}'] == 3
    assert found['tfdqn_request_seconds_sum{path="/a"}'] == 40.201


def test_the_process_is_measured() -> None:
    found = read(text(process_families()))
    used = resource.getrusage(resource.RUSAGE_SELF)
    assert 0 < found["process_cpu_seconds_total"] <= used.ru_utime + used.ru_stime
    most = used.ru_maxrss * 2**10  # which the kernel counts at moments of its own
    assert most / 100 < found["process_resident_memory_bytes"] < most * 1.1
    assert found["process_open_fds"] >= 3
    assert time.time() - 3600 < found["process_start_time_seconds"] < time.time()


def test_a_gauge_has_its_values() -> None:
    assert read(text([gauge("g", "One.", 3), gauge("h", "Two.", {(("a", 1),): 2})])) == {"g": 3, 'h{a="1"}': 2}
