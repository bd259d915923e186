"""`tfdqn serve` as a process without TF-Agents: it answers as the policy does, until told to end."""

import itertools
import json
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.runs import tiny
from tests.serving.client import Client, server
from tfdqn.experiment import train
from tfdqn.exporting import LoadedPolicy, export_run, load_policy


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run with one export."""
    path = tmp_path_factory.mktemp("serving") / "pole"
    train(tiny("stop.env_steps=600"), path)
    if not (path / "exports" / "1").exists():
        export_run(path)
    return path


@pytest.fixture(scope="module")
def policy(run: Path) -> LoadedPolicy:
    return load_policy(run)


@pytest.fixture(scope="module")
def client(run: Path) -> Iterator[Client]:
    with server(run.parent, str(run)) as found:
        yield found


def observations(n: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, 4)).astype(np.float32)


def test_rows_and_columns_are_answered_as_the_policy_does(client: Client, policy: LoadedPolicy) -> None:
    given = observations(1000)
    status, rows = client.predict({"instances": given.tolist()})
    assert status == 200
    predictions = rows["predictions"]
    np.testing.assert_array_equal([each["action"] for each in predictions], policy(given))
    q_values = np.array([each["q_values"] for each in predictions])
    np.testing.assert_allclose(q_values, policy.q_values(given), rtol=1e-5, atol=1e-5)
    status, columns = client.predict({"inputs": {"observation": given.tolist()}}, version=1)
    assert status == 200
    np.testing.assert_array_equal(columns["outputs"]["action"], policy(given))
    np.testing.assert_allclose(columns["outputs"]["q_values"], q_values, rtol=1e-6)


def test_of_many_at_once_each_gets_its_own_answer(client: Client, policy: LoadedPolicy) -> None:
    given = observations(300)
    with ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(lambda row: client.predict({"instances": [row.tolist()]}), given))
    assert {status for status, _ in answers} == {200}
    q_values = [body["predictions"][0]["q_values"] for _, body in answers]
    np.testing.assert_allclose(q_values, policy.q_values(given), rtol=1e-4, atol=1e-4)


def test_status_and_metadata_are_tensorflow_servings(client: Client) -> None:
    available = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in (client.path, f"{client.path}/versions/1"):
        assert client.ask("GET", path) == (200, {"model_version_status": [available]})
    status, found = client.ask("GET", f"{client.path}/metadata")
    assert status == 200
    assert found["model_spec"] == {"name": "pole", "signature_name": "", "version": "1"}
    served = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert served["method_name"] == "tensorflow/serving/predict"
    assert served["inputs"]["observation"]["dtype"] == "DT_FLOAT"
    assert [each["size"] for each in served["inputs"]["observation"]["tensor_shape"]["dim"]] == ["-1", "4"]
    assert served["outputs"].keys() == {"action", "q_values"}


def test_the_example_that_it_shows_is_answered(client: Client) -> None:
    (line,) = [each for each in client.process.out.splitlines() if each.startswith("Ask: ")]
    command = line.removeprefix("Ask: ")
    assert command.startswith("curl ")
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["predictions"][0]["action"] in (0, 1)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "problem"),
    [
        ("POST", "{}:predict", b"nonsense", 400, "JSON Parse error"),
        (
            "POST",
            "{}:predict",
            {"instances": [[0, 0, 0]]},
            400,
            "instances[0]: Expected `array` of length >= 4",
        ),
        ("POST", "{}:predict", {"instances": []}, 400, "empty"),
        ("POST", "{}:predict", b'{"instances": [[0, 0, 0, NaN]]}', 400, "JSON Parse error"),
        (
            "POST",
            "{}:predict",
            {"instances": [[0, 0, 0, 1e39]]},
            400,
            "observation[0][3]: inf is not a finite",
        ),
        ("POST", "{}:predict", {"instances": [{"speed": 1}]}, 400, "unknown field `speed`"),
        ("POST", "{}:predict", {"instances": [[0] * 4], "signature_name": "x"}, 400, 'name: "x" not found'),
        ("POST", "{}:predict", b" " * (2**24 + 1), 413, "longer than 16777216 bytes"),
        ("POST", "{}/versions/9:predict", {"instances": [[0] * 4]}, 404, "Specific(pole, 9)"),
        ("POST", "/v1/models/other:predict", {"instances": [[0] * 4]}, 404, "Latest(other)"),
        ("GET", "/v1/models/other", None, 404, "Could not find any versions of model other"),
        ("GET", "{}/versions/9", None, 404, "model pole version 9"),
        ("GET", "{}:predict", None, 400, "Malformed request: GET /v1/models/pole:predict"),
        ("POST", "{}:classify", {}, 400, "Malformed request: POST /v1/models/pole:classify"),
        ("GET", "/", None, 400, "Malformed request: GET /"),
    ],
)
def test_bad_requests_are_refused_as_tensorflow_serving_refuses_them(
    client: Client, method: str, path: str, body: object, status: int, problem: str
) -> None:
    found, answer = client.ask(method, path.format(client.path), body)
    assert found == status
    assert answer.keys() == {"error"} and problem in answer["error"]
    assert client.predict({"instances": [[0, 0, 0, 0]]})[0] == 200


def test_a_body_whose_length_is_not_said_has_a_limit_too(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(
            f"POST {client.path}:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        part = b"100000\r\n" + b" " * 2**20 + b"\r\n"
        try:
            for _ in range(64):
                connection.sendall(part)
        except OSError:
            pass  # it is closed by then
        else:
            assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    assert client.predict({"instances": [[0, 0, 0, 0]]})[0] == 200


def test_clients_that_break_off_or_speak_something_else_harm_nobody(client: Client) -> None:
    for text in (b"", b"\x16\x03\x01\x02", b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n{"):
        with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
            connection.sendall(text)
    assert client.predict({"instances": [[0, 0, 0, 0]]})[0] == 200
    assert "Traceback" not in client.process.err and "Invalid HTTP" not in client.process.err


def test_versions_change_under_load_and_sigterm_ends_in_order(run: Path, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    shutil.copytree(run / "exports" / "1", exports / "1")
    statuses: list[int] = []
    over = threading.Event()

    def load(found: Client) -> None:
        for _ in itertools.takewhile(lambda _: not over.is_set(), itertools.count()):
            statuses.append(found.predict({"instances": [[0, 0, 0, 0]]})[0])

    with server(tmp_path, "exports", "--name", "two") as found, ThreadPoolExecutor(4) as clients:
        assert found.path == "/v1/models/two"
        working = [clients.submit(load, found) for _ in range(4)]
        try:
            shutil.copytree(exports / "1", tmp_path / "new")
            (tmp_path / "new").rename(exports / "2")
            found.process.until(lambda: "Version 2 is served" in found.process.out, "version 2")
            shutil.copytree(exports / "1", tmp_path / "new")
            (tmp_path / "new" / "variables" / "variables.index").write_bytes(b"")
            (tmp_path / "new").rename(exports / "3")
            found.process.until(lambda: "Version 3 can't be loaded" in found.process.out, "version 3")
            before = len(statuses)
            found.process.until(lambda: len(statuses) > before + 20, "answers")
        finally:
            over.set()
        for each in working:
            each.result(60)
        assert set(statuses) == {200}
        _, told = found.ask("GET", found.path)
        assert [each["state"] for each in told["model_version_status"]] == ["END", "AVAILABLE", "END"]
        assert found.predict({"instances": [[0] * 4]}, version=1)[0] == 404
        found.process.send(signal.SIGTERM)
        assert found.process.ended() == 0
        assert found.process.out.endswith("Stopped.\n")
        assert "Traceback" not in found.process.err
