"""What watches the server learns how it stands, with no key, or with one for the metrics; requests are counted."""

import http.client
import json
import re
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.commands import PROJECT
from tests.support.serving_in_process import Drain, InProcess, received, request, serving
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.serving.access import read_access
from tfdqn.serving.batching import Batcher
from tfdqn.serving.limits import MemoryBudget
from tfdqn.serving.monitoring import Monitor
from tfdqn.serving.options import Options

ONE = {"instances": [[1, 2, 3, 4]]}
METRICS = "/monitoring/prometheus/metrics"
PATHS = {"/healthz": "live", "/v2/health/live": "live", "/readyz": "ready", "/v2/health/ready": "ready"}


def monitor() -> Monitor:
    versions = SimpleNamespace(states={})
    return Monitor("sum", versions, Batcher(ThreadPoolExecutor()), MemoryBudget(), ())  # type: ignore[arg-type]


def metrics(server: InProcess) -> dict[str, float]:
    """Values by name and labels, as Prometheus' own parser reads them."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", METRICS)
    response = connection.getresponse()
    assert (response.status, response.getheader("Content-Type")) == (200, "text/plain; version=0.0.4; charset=utf-8")
    text = response.read().decode()
    connection.close()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found
            found[key] = sample.value
    return found


def test_life_and_readiness_need_no_key_and_all_else_does(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one")
    (tmp_path / "keys").chmod(0o600)
    with serving(options=Options(read_access(tmp_path / "keys", None, None, pytest.fail))) as server:
        for path, word in PATHS.items():
            assert server.ask("GET", path) == (200, {word: True})
            assert server.ask("POST", path)[0] == 405
        for path in (METRICS, "/v2/health", "/healthz/", "/readyz/..", "//healthz"):
            assert server.ask("GET", path)[0] == 401


def test_requests_batches_and_the_queue_are_counted() -> None:
    with serving() as server:
        assert server.predict(ONE)[0] == 200
        assert server.predict({"instances": [[1, 2, 3, 4]] * 5})[0] == 200
        assert server.predict(b"nonsense")[0] == 400
        assert server.ask("GET", "/v1/models/sum/versions/1/metadata/no")[0] == 400
        assert server.ask("PUT", "/v1/models/sum:predict")[0] == 405
        server.model.hold()
        with ThreadPoolExecutor(3) as clients:
            asked = [clients.submit(server.predict, ONE)]
            assert server.model.begun.wait(PATIENCE_SECONDS)
            asked += [clients.submit(server.predict, ONE) for _ in range(2)]
            while (found := metrics(server))["tfdqn_waiting_requests"] < 2:
                assert server.thread.is_alive()
            server.model.go.set()
            assert [each.result(PATIENCE_SECONDS)[0] for each in asked] == [200] * 3
        assert found["tfdqn_connections"] >= 4
        before = metrics(server)
    label = '{method="POST",path="/v1/models/{name}:predict",status="%d"}'
    assert [before["tfdqn_requests_total" + label % status] for status in (200, 400)] == [5, 1]
    assert before['tfdqn_requests_total{method="PUT",path="/v1/models/{name}:predict",status="405"}'] == 1
    assert before['tfdqn_requests_total{method="GET",path="other",status="400"}'] == 1
    assert before['tfdqn_request_seconds_count{path="/v1/models/{name}:predict"}'] == 7
    assert (before["tfdqn_batch_rows_count"], before["tfdqn_batch_rows_sum"]) == (4, 9)  # the last two together
    assert [before[f'tfdqn_batch_rows_bucket{{le="{each}"}}'] for each in (1.0, 2.0, 4.0, 8.0)] == [2, 3, 3, 4]
    assert before["tfdqn_ready"] == 1 and before["tfdqn_large_request_bytes"] == 0


def test_versions_and_large_requests_are_shown() -> None:
    states = {2: SimpleNamespace(state="AVAILABLE"), 1: SimpleNamespace(state="END")}
    with serving() as server:
        server.versions.states.update(states)
        unfinished = server.connect(request(b" " * 2**20)[:-1])
        while (found := metrics(server))["tfdqn_large_request_bytes"] < 2**19:
            assert server.thread.is_alive()
        unfinished.close()
        gone = 'tfdqn_requests_total{method="POST",path="/v1/models/{name}:predict",status="499"}'
        while metrics(server).get(gone) != 1:
            assert server.thread.is_alive()
        for version, state in ((1, "END"), (2, "AVAILABLE")):
            assert found[f'tfdqn_model_version{{model="sum",state="{state}",version="{version}"}}'] == 1


def test_every_metric_of_the_page_is_there_and_the_process_is_measured() -> None:
    page = (PROJECT / "docs" / "serving.md").read_text(encoding="utf-8")
    table = page.split("| metric | what it is |")[1].split("\n\n")[0]
    named = {
        name for row in table.splitlines() for name in re.findall(r"`([a-z_]+)`", row.split("|")[1] if row else "")
    }
    assert len(named) > 10
    with serving() as server:
        server.versions.states[1] = SimpleNamespace(state="AVAILABLE")
        assert server.predict(ONE)[0] == 200
        found = metrics(server)
    assert named <= {re.sub("_(bucket|count|sum)$", "", key.partition("{")[0]) for key in found}
    used = resource.getrusage(resource.RUSAGE_SELF)
    assert 0 < found["process_cpu_seconds_total"] <= used.ru_utime + used.ru_stime + 0.02  # it counts in ticks
    most = used.ru_maxrss * 2**10  # which the kernel counts at moments of its own
    assert most / 100 < found["process_resident_memory_bytes"] < most * 1.1
    assert found["process_open_fds"] >= 3
    assert time.time() - 86_400 < found["process_start_time_seconds"] < time.time() + 2


def test_readiness_goes_first_and_requests_are_answered_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    drain = Drain(monkeypatch)
    with serving(options=drain.options) as server:
        server.end.set()
        while server.ask("GET", "/readyz") != (503, {"ready": False}):
            assert server.thread.is_alive()
        assert server.ask("GET", "/healthz") == (200, {"live": True})
        assert metrics(server)["tfdqn_ready"] == 0
        answer = received(server.connect(request(json.dumps(ONE).encode())))  # until the server ends the connection
        assert b"\r\nconnection: close\r\n" in answer.lower() and b'"q":10.0' in answer
        server.model.hold()
        held = server.connect(request(json.dumps(ONE).encode(), head="Connection: close\r\n"))
        assert server.model.begun.wait(PATIENCE_SECONDS)
        drain.over.set()
        server.model.go.set()
        assert b'"q":10.0' in received(held)
        server.thread.join(PATIENCE_SECONDS)
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_requests_are_counted_by_path_method_and_status() -> None:
    counting = monitor()
    registry = counting._registry
    for path, method, status, seconds in (
        *(("/a", "GET", 200, 0.001), ("/a", "GET", 200, 0.2), ("/a", "POST", 400, 40.0)),
        *(("/b", "BREW", 400, 0.0), ("/b", "STEEP", 400, 0.0)),
    ):
        counting.count(path, method, status, seconds)
    (family,) = (each for each in registry.collect() if each.name == "tfdqn_requests")
    counts = {tuple(each.labels.values()): each.value for each in family.samples if each.name.endswith("_total")}
    assert counts == {("/a", "GET", "200"): 2, ("/a", "POST", "400"): 1, ("/b", "other", "400"): 2}

    def value(suffix: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tfdqn_request_seconds_{suffix}", {"path": "/a", **labels})

    assert [value("bucket", le=each) for each in ("0.001", "0.25", "30.0", "+Inf")] == [1, 2, 2, 3]
    assert value("count") == 3
    assert value("sum") == pytest.approx(40.201)


def test_two_servers_of_one_process_count_apart() -> None:
    both = [monitor(), monitor()]
    both[0].count("/a", "GET", 200, 0.1)
    labels = {"path": "/a", "method": "GET", "status": "200"}
    assert [each._registry.get_sample_value("tfdqn_requests_total", labels) for each in both] == [1, None]
