"""The paths of the Open Inference Protocol, as KServe asks them."""

from pathlib import Path

import pytest

from tests.support.serving_in_process import Drain, InProcess, serving
from tests.support.waiting import until
from tfdqn.serving.access import read_access
from tfdqn.serving.options import Options

INFER = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}


def test_its_paths_are_answered() -> None:
    with serving() as server:
        status, found = server.ask("GET", "/v2")
        assert status == 200 and found.keys() == {"name", "version", "extensions"} and found["name"] == "tfdqn"
        tensor_ = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
        for place in ("/v2/models/sum", "/v2/models/sum/versions/1"):
            status, found = server.ask("GET", place)
            assert (status, found["name"], found["versions"]) == (200, "sum", ["1"])
            assert (found["platform"], found["inputs"]) == ("tensorflow_savedmodel", [tensor_])
            assert server.ask("GET", f"{place}/ready") == (200, {"name": "sum", "ready": True})
            status, found = server.ask("POST", f"{place}/infer", INFER | {"id": "a"})
            assert (status, found["id"], found["model_version"]) == (200, "a", "1")
            assert {each["name"]: each["data"] for each in found["outputs"]} == {"action": [3], "q": [10.0]}
        for method, place, status in (
            ("GET", "/v2/models/other", 404),
            ("GET", "/v2/models/sum/versions/2/ready", 404),
            ("POST", "/v2/models/sum/versions/2/infer", 404),
            ("POST", "/v2/models/sum/versions/x/infer", 400),
            ("GET", "/v2/models/sum/infer", 405),
            ("POST", "/v2/models/sum/ready", 405),
            ("GET", "/v2/", 400),
        ):
            found_status, found = server.ask(method, place, None if method == "GET" else INFER)
            assert found_status == status and found.keys() == {"error"}
        overflow = {"inputs": [INFER["inputs"][0] | {"data": [3e38] * 4}]}
        assert server.ask("POST", "/v2/models/sum/infer", overflow)[0] == 400
        _assert_it_is_counted(server)


def _assert_it_is_counted(server: InProcess) -> None:
    connection = server.connect(b"GET /monitoring/prometheus/metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    with connection, connection.makefile("rb") as file:
        text = file.read().decode()
    assert 'tfdqn_requests_total{method="POST",path="/v2/models/{name}/infer",status="200"} 1.0' in text


def test_a_model_is_not_ready_when_the_server_is_about_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    drain = Drain(monkeypatch)
    with serving(options=drain.options) as server:
        server.end.set()
        until(lambda: server.ask("GET", "/v2/models/sum/ready")[0] == 503)
        assert server.ask("GET", "/v2/models/sum/ready") == (503, {"name": "sum", "ready": False})
        drain.over.set()


def test_its_paths_need_a_key_but_for_health(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one")
    (tmp_path / "keys").chmod(0o600)
    with serving(options=Options(read_access(tmp_path / "keys", None, None, pytest.fail))) as server:
        key = {"Authorization": "Bearer one"}
        for method, path, sent in (
            ("GET", "/v2", None),
            ("GET", "/v2/models/sum", None),
            ("GET", "/v2/models/sum/ready", None),
            ("POST", "/v2/models/sum/infer", INFER),
        ):
            assert server.ask(method, path, sent)[0] == 401
            assert server.ask(method, path, sent, headers=key)[0] == 200
        assert server.ask("GET", "/v2/health/live")[0] == server.ask("GET", "/v2/health/ready")[0] == 200
