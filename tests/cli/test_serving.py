"""What can't be served is said in one line, before TensorFlow is there; the address is loopback unless asked."""

import inspect
import io
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Recorder
from tests.support.waiting import until
from tfdqn.cli import main
from tfdqn.cli.serving import _end_if_held, serve
from tfdqn.errors import UserError
from tfdqn.exporting.tf_serving_files import model_name
from tfdqn.exporting.versions import exports_folder
from tfdqn.system.addresses import LOOPBACK, is_loopback, listen


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What looks like a run with an export."""
    version = tmp_path / "a run" / "exports" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"")
    return tmp_path / "a run"


def test_a_run_and_its_exports_are_the_same_model(run: Path, tmp_path: Path) -> None:
    for given in (run, run / "exports"):
        folder = exports_folder(given)
        assert folder == run / "exports"
        assert model_name(folder, None) == "a-run"
    assert model_name(tmp_path / "pole.v2", None) == "pole.v2"
    assert model_name(run, "other") == "other"


def test_mistakes_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("007", "newest"):
        (tmp_path / "unnumbered" / name).mkdir(parents=True)
        (tmp_path / "unnumbered" / name / "saved_model.pb").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, problem in (
            ([tmp_path / "nowhere"], "nowhere doesn't exist"),
            ([run / "exports" / "1"], "is one version; give the folder of versions"),
            ([run, "--name", "a/b"], '--name "a/b": only letters'),
            ([run, "--port", port], f"can't serve at 127.0.0.1, port {port}: Address already in use"),
            ([run, "--host", "nowhere.invalid"], "can't serve at nowhere.invalid, port 8501"),
            ([run, "--port", "65536"], "65536"),
            (
                [run, "--host", "0.0.0.0", "--port", 0],
                "0.0.0.0: give --api-key-file, --tls-cert and --tls-key, or --insecure",
            ),
            ([run, "--api-key-file", tmp_path / "keys"], "keys: No such file or directory"),
            ([tmp_path / "unnumbered"], "unnumbered has no exported version; "),
            ([run, "--versions", "specific:7"], f"--versions: 7 not found in {run}/exports, which has 1"),
            ([run, "--versions", "newest"], '--versions "newest": latest:N, all, or specific:1,3 is needed'),
            ([run, "--label", "a=7"], f"--label a=7: --versions doesn't choose version 7, but 1; {run}/exports has 1"),
            ([run, "--label", "stable"], '--label "stable": NAME=VERSION is needed'),
            ([run, "--max-batch-size", 0], "max-batch-size"),
            ([run, "--tls-cert", tmp_path / "one.crt"], "--tls-cert needs --tls-key: give both or neither"),
            ([run, "--tls-cert", tmp_path / "one.crt", "--tls-key", tmp_path], "one.crt: No such file or directory"),
        ):
            assert main.main(["serve", *map(str, arguments)]) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert problem in line


def test_it_listens_at_loopback_unless_asked() -> None:
    host = inspect.signature(serve).parameters["host"].default
    with listen(host, 0) as listening:
        assert listening.getsockname()[0] == LOOPBACK
    with listen("0.0.0.0", 0) as listening:
        assert not is_loopback(listening.getsockname()[0])
    with pytest.raises(UserError, match="port 0"):
        listen("192.0.2.1", 0)  # of nobody


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("serves", "said", "statuses"), [(False, "Stopped while loading.\n", [0]), (True, "Stopping.\n", [])]
)
def test_a_signal_while_it_loads_ends_it_at_once_and_later_in_order(
    run: Path,
    behind: Callable[..., Recorder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    serves: bool,
    said: str,
    statuses: list[int],
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)

    def loads(folder: Path, *args: Any) -> None:
        *_, interrupted, begun = args
        if serves:
            begun()
        signal.raise_signal(number)
        until(interrupted if serves else lambda: ended, "the signal, or the end although this call goes on")

    behind("serving.server", "serve", loads)
    assert main.main(["serve", str(run), "--port", "0"]) == 0
    begun, _, rest = capsys.readouterr().out.partition("\n")
    assert re.fullmatch(rf"Loading {run}/exports\. Requests to 127\.0\.0\.1:\d+ wait until it serves\.", begun)
    assert (rest, ended) == (said, statuses)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_does_not_wait_for_requests(
    run: Path, behind: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    monkeypatch.setattr("tfdqn.system.signals._ONE_SIGNAL_SECONDS", 0.0)

    def answers(folder: Path, *args: Any) -> None:
        *_, interrupted, begun = args
        begun()
        signal.raise_signal(number)
        until(interrupted, "the first signal")
        signal.raise_signal(signal.SIGINT)
        until(lambda: ended, "the end although requests are being answered")

    behind("serving.server", "serve", answers)
    main.main(["serve", str(run), "--port", "0"])
    assert set(ended) == {130}


@pytest.mark.parametrize("is_logged", [False, True])
@pytest.mark.parametrize("is_shown", [True, False])
def test_only_where_stdout_is_the_terminal_that_shows_that_it_loads_no_line_is_printed(
    is_logged: bool, is_shown: bool, run: Path, behind: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: not is_logged)
    monkeypatch.setattr(err, "isatty", lambda: is_shown)
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    behind("serving.server", "serve", lambda *_: None)
    assert main.main(["serve", str(run), "--port", "0"]) == 0
    assert ("loading" in err.getvalue()) == is_shown
    assert out.getvalue().startswith(f"Loading {run}/exports. ") == (is_logged or not is_shown)


def test_requests_go_to_an_address_that_reaches_the_server(
    run: Path, behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    behind("serving.server", "serve", lambda *_: None)
    assert main.main(["serve", str(run), "--host", "0.0.0.0", "--port", "0", "--insecure"]) == 0
    assert re.search(r"Requests to 127\.0\.0\.1:\d+ wait", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("card", "versions", "expected"),
    [
        ({"configuration": {"network": {"kind": "nature_cnn"}}}, "latest:1", "1"),
        ({"configuration": {"network": {"kind": "my_network:mine"}}}, "latest:1", "1"),
        ({"configuration": {"network": {"kind": "mlp"}}}, "latest:1", None),
        ({"configuration": {"network": {"kind": "mlp"}}}, "latest:2", "1"),
        ({"configuration": {"network": {"kind": "mlp"}}}, "all", "1"),
        ({"configuration": 3}, "latest:1", None),
        (None, "latest:1", None),
    ],
)
def test_a_policy_with_convolutions_is_computed_by_onednn(
    card: Any,
    versions: str,
    expected: str | None,
    run: Path,
    behind: Callable[..., Recorder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Version 2 has the card; the older version 1 is of a network with convolutions."""
    for number, each in (("1", {"configuration": {"network": {"kind": "impala"}}}), ("2", card)):
        version = run / "exports" / number
        version.mkdir(exist_ok=True)
        (version / "saved_model.pb").touch()
        if each is not None:
            (version / "model_card.json").write_text(json.dumps(each))
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "")  # restored afterwards, whatever it was
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    found: list[str | None] = []
    behind("serving.server", "serve", lambda *_: found.append(os.environ.get("TF_ENABLE_ONEDNN_OPTS")))
    assert main.main(["serve", str(run), "--port", "0", "--versions", versions]) == 0
    assert found == [expected]


def test_a_thread_that_does_not_end_does_not_hold_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)
    monkeypatch.setattr("tfdqn.cli.serving._JOIN_SECONDS", 0.01)
    returns = threading.Event()
    thread = threading.Thread(target=returns.wait, args=(60.0,))
    thread.start()
    try:
        _end_if_held()
    finally:
        returns.set()
        thread.join()
    assert ended == [0]


def test_answers_are_sent_at_once() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
