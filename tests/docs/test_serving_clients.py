"""The clients in examples/serving ask what a served policy takes, and say in one line what it would not."""

import importlib
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.commands import PROJECT
from tests.support.policies import BOX, DISCRETE, network_of, observations, task
from tests.support.prediction_service import prediction_service
from tests.support.serving_client import server
from tfdqn.exporting.loaded_policy import LoadedPolicy, load_policy
from tfdqn.exporting.saved_model import export_policy

CLIENTS = ("rest_client", "grpc_client")
Ask = Callable[..., int]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy of a task with masks, and an observation of two parts."""
    spec = task(masks=True, place=BOX, cell=DISCRETE)
    directory = tmp_path_factory.mktemp("clients") / "maze"
    export_policy(spec, network_of(spec), directory, {})
    return directory


@pytest.fixture(scope="module")
def policy(exports: Path) -> LoadedPolicy:
    return load_policy(exports)


@pytest.fixture(scope="module")
def addresses(exports: Path) -> Iterator[dict[str, str]]:
    with server(exports.parent, str(exports)) as rest, prediction_service("maze", exports / "1") as grpc:
        yield {"rest_client": f"http://127.0.0.1:{rest.port}", "grpc_client": grpc}


@pytest.fixture(params=CLIENTS)
def ask(request: pytest.FixtureRequest, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """One client's `main`, with its server's address."""
    monkeypatch.syspath_prepend(PROJECT / "examples" / "serving")
    client = importlib.import_module(request.param)

    def main(*arguments: str, address: str = addresses[request.param]) -> int:
        return client.main([address, *arguments])

    return main


def asked(n: int) -> dict[str, np.ndarray]:
    legal = np.random.default_rng(1).random((n, 3)) < 0.5
    legal[:, 1] |= ~legal.any(axis=1)
    return {**observations(task(place=BOX, cell=DISCRETE), n), "legal_actions": legal}


def as_json(columns: dict[str, Any]) -> str:
    return json.dumps({name: np.asarray(each).tolist() for name, each in columns.items()})


def test_a_client_is_answered_as_the_policy_does(
    ask: Ask, policy: LoadedPolicy, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = asked(20)
    assert ask("maze", as_json(columns)) == 0
    found = json.loads(capsys.readouterr().out)
    observation = {name: columns[name] for name in ("place", "cell")}
    np.testing.assert_array_equal(found["action"], policy(observation, columns["legal_actions"]))
    np.testing.assert_allclose(found["q_values"], policy.q_values(observation), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"speed": [1]}, "needed: cell int64[any], legal_actions bool[any, 3], place float32[any, 4]; given: "),
        ({"place": [[0, 0, 0]]}, "place: float32[any, 4] is needed, not a shape of [1, 3]"),
        ({"place": [[0, 0, 0, 0], [0]]}, "place: its rows differ in shape"),
        ({"place": [[0, 0, 0, 1e39]]}, "place: a number does not fit float32"),
        ({"place": [["far", 0, 0, 0]]}, "place: float32[any, 4] is needed, not <U"),
        ({"cell": [3.5]}, "cell: int64[any] is needed, not float64"),
        ({"legal_actions": [[0, 1, 1]]}, "legal_actions: bool[any, 3] is needed, not int64"),
        ({"cell": [3, 4]}, "as many rows of each input are needed, and at least one; given: "),
    ],
)
def test_what_the_signature_does_not_take_is_not_asked(
    ask: Ask, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], problem: str
) -> None:
    columns = {"place": [[0, 0, 0, 0]], "cell": [3], "legal_actions": [[True, True, True]]} | changes
    assert ask("maze", json.dumps(columns)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"not asked: {problem}")


def test_what_is_no_json_is_not_asked_and_a_server_s_refusal_is_one_line(
    ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, text, status, said in (
        ("maze", "{", 2, "not asked: no JSON: Expecting property name"),
        ("a b", "{}", 1, "Servable not found for request: Latest(a b)"),
        ("maze", "[]", 2, "not asked: a JSON object is needed, of cell int64[any], "),
        ("other", "{}", 1, "Servable not found for request: Latest(other)"),
    ):
        assert ask(model, text) == status
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line


@pytest.mark.parametrize(
    ("client", "address", "needed"),
    [
        ("rest_client", "foo", "http://HOST:PORT"),
        ("rest_client", "127.0.0.1:8501", "http://HOST:PORT"),
        ("rest_client", "http://127.0.0.1:port", "http://HOST:PORT"),
        ("rest_client", "http://a b", "http://HOST:PORT"),
        ("grpc_client", "http://127.0.0.1:8500", "HOST:PORT"),
    ],
)
def test_an_address_that_is_none_is_not_asked(
    client: str, address: str, needed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(PROJECT / "examples" / "serving")
    assert importlib.import_module(client).main([address, "maze", "{}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"not asked: {address}: {needed} is needed, such as ")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b'HTTP/1.0 200 OK\r\n\r\n{"metadata": {"signature_def": {"signature_def": 3}}}',
        b"hello\r\n",
    ],
)
def test_who_is_no_such_server_is_named_and_not_the_user(
    answer: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(PROJECT / "examples" / "serving")
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as others:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def answer_once() -> None:
            with listening.accept()[0] as connection:
                connection.recv(4_096)
                connection.sendall(answer)

        others.submit(answer_once)
        assert importlib.import_module("rest_client").main([address, "maze", "{}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"{address}: what answers there is no TensorFlow Serving and no `tfdqn serve`"


@pytest.mark.parametrize(("client", "scheme"), [("rest_client", "http://"), ("grpc_client", "")])
def test_where_no_server_is_that_is_one_line(
    client: str, scheme: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(PROJECT / "examples" / "serving")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    address = f"{scheme}127.0.0.1:{port}"
    assert importlib.import_module(client).main([address, "maze", "{}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{address}: ")
