"""Requests are counted by path, method and status, in a registry of each server's own."""

import pytest
from prometheus_client import CollectorRegistry

from tfdqn.serving.monitoring import RequestMetrics


def test_requests_are_counted_by_path_method_and_status() -> None:
    registry = CollectorRegistry()
    requests = RequestMetrics(registry)
    for path, method, status, seconds in (
        *(("/a", "GET", 200, 0.001), ("/a", "GET", 200, 0.2), ("/a", "POST", 400, 40.0)),
        *(("/b", "BREW", 400, 0.0), ("/b", "STEEP", 400, 0.0)),
    ):
        requests.add(path, method, status, seconds)
    (family,) = (each for each in registry.collect() if each.name == "tfdqn_requests")
    counts = {tuple(each.labels.values()): each.value for each in family.samples if each.name.endswith("_total")}
    assert counts == {("/a", "GET", "200"): 2, ("/a", "POST", "400"): 1, ("/b", "other", "400"): 2}

    def value(suffix: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tfdqn_request_seconds_{suffix}", {"path": "/a", **labels})

    assert [value("bucket", le=each) for each in ("0.001", "0.25", "30.0", "+Inf")] == [1, 2, 2, 3]
    assert value("count") == 3
    assert value("sum") == pytest.approx(40.201)


def test_two_servers_of_one_process_count_apart() -> None:
    registries = [CollectorRegistry(), CollectorRegistry()]
    one, _ = (RequestMetrics(each) for each in registries)
    one.add("/a", "GET", 200, 0.1)
    labels = {"path": "/a", "method": "GET", "status": "200"}
    assert [each.get_sample_value("tfdqn_requests_total", labels) for each in registries] == [1, None]
