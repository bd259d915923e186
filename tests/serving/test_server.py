"""`tfdqn serve` as a process without TF-Agents: it takes up what is newer under load, and ends as it is told."""

import itertools
import json
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tensorflow as tf
from starlette.applications import Starlette

from tests.support.policies import network_of, task
from tests.support.serving_client import Client, server
from tfdqn.errors import UserError
from tfdqn.exporting.saved_model import export_policy
from tfdqn.serving.access import Access
from tfdqn.serving.options import Options
from tfdqn.serving.server import _http_server, serve
from tfdqn.system.addresses import listen, with_host


def test_versions_change_under_load_and_sigterm_ends_in_order(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    export_policy(task(), network_of(task()), exports, {})
    statuses: list[int] = []
    over = threading.Event()

    def load(found: Client) -> None:
        for _ in itertools.takewhile(lambda _: not over.is_set(), itertools.count()):
            statuses.append(found.predict({"instances": [[0, 0, 0, 0]]})[0])

    with server(tmp_path, "exports", "--name", "two") as found, ThreadPoolExecutor(4) as clients:
        assert found.path == "/v1/models/two"
        _assert_example_is_answered(found)
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


def test_a_label_of_a_version_that_is_not_served_is_a_users_error(tmp_path: Path) -> None:
    export_policy(task(), network_of(task()), tmp_path, {})
    with listen("127.0.0.1", 0) as listening, pytest.raises(UserError) as raised:
        serve(tmp_path, "two", listening, Options(labels={"old": 1, "stable": 5}), print, lambda: True)
    assert str(raised.value) == "--label stable=5: version 5 is not served; served: 1"


@pytest.mark.parametrize(
    ("host", "reached", "family"),
    [("0.0.0.0", "127.0.0.1:{}", "IPv4"), ("::", "[::1]:{}", "IPv6"), ("127.0.0.1", "127.0.0.1:{}", "")],
)
def test_the_request_to_copy_names_an_address_that_can_be_asked(
    tmp_path: Path, host: str, reached: str, family: str
) -> None:
    export_policy(task(), network_of(task()), tmp_path, {})
    said: list[str] = []
    with listen(host, 0) as listening:
        port = listening.getsockname()[1]
        serve(tmp_path, "two", listening, Options(), said.append, lambda: True)
    (command,) = [line for line in said if line.startswith("Ask: ")]
    url = f"http://{reached.format(port)}/v1/models/two"
    assert command.endswith(f" {url}:predict") and said[0].endswith(f" at {url}")
    listens = f"It listens on all {family} addresses of this host ({with_host(port, host)})."
    assert [line for line in said if line.startswith("It listens")] == ([listens] if family else [])


def test_it_serves_where_nobody_reads_what_it_says(tmp_path: Path) -> None:
    export_policy(task(), network_of(task()), tmp_path, {})

    def say(text: str) -> None:
        raise BrokenPipeError

    with listen("127.0.0.1", 0) as listening:
        serve(tmp_path, "two", listening, Options(), say, lambda: True)


def test_signals_are_left_to_who_asks_for_them() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with _http_server(Starlette(), Access()).capture_signals():
        assert signal.getsignal(signal.SIGTERM) is before


def _assert_example_is_answered(client: Client) -> None:
    (line,) = [each for each in client.process.out.splitlines() if each.startswith("Ask: ")]
    command = line.removeprefix("Ask: ")
    assert command.startswith("curl ")
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=240, check=True)
    assert json.loads(done.stdout)["predictions"][0]["action"] in range(3)


class Endless(tf.Module):
    """Never answers for what is above 0."""

    @tf.function(input_signature=[tf.TensorSpec((None, 1), tf.float32, name="x")])
    def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.while_loop(lambda y: tf.reduce_any(y > 0), lambda y: (y,), (x,))[0]}


@pytest.mark.long
def test_a_call_that_never_returns_does_not_hold_the_process(tmp_path: Path) -> None:
    model = Endless()
    tf.saved_model.save(model, str(tmp_path / "exports" / "1"), {"serving_default": model.__call__})
    with server(tmp_path, "exports") as found, ThreadPoolExecutor(1) as clients:
        assert found.predict({"instances": [[0]]}) == (200, {"predictions": [[0.0]]})
        held = clients.submit(found.predict, {"instances": [[1]]})
        before = _processor_ticks(found)
        found.process.until(lambda: _processor_ticks(found) > before + 50, "endless call")
        found.process.send(signal.SIGTERM)
        assert held.result(60) == (503, {"error": "the server ends"})
        assert found.process.ended() == 0
        assert found.process.out.endswith("Stopped.\n")


def _processor_ticks(client: Client) -> int:
    """Hundredths of a second that the process has computed."""
    stat = Path(f"/proc/{client.process.pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[11])
