"""Whatever comes by HTTP gets one answer of strict JSON, and no traceback."""

import gzip
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.support.serving_client import strict
from tests.support.serving_in_process import PREDICT, InProcess, received, request, serving
from tfdqn.serving.options import Options

ONE = json.dumps({"instances": [[1, 2, 3, 4]]}).encode()
PREDICTIONS = {"predictions": [{"action": 3, "q": 10.0}]}
PATHS = "the model is at /v1/models/sum, metrics are at /monitoring/prometheus/metrics, all paths are in /openapi.json"
CLOSE = "Connection: close\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with serving(options=Options(labels={"stable": 1, "next": 2})) as found:
        yield found


def bodies(text: bytes) -> list[tuple[int, object]]:
    """Of the answers to requests on one connection."""
    found = []
    while text:
        head, _, text = text.partition(b"\r\n\r\n")
        (length,) = [
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        found.append((int(head.split()[1]), strict(text[:length])))
        text = text[length:]
    return found


def test_an_observation_that_overflows_is_refused_in_strict_json(server: InProcess) -> None:
    for form in ({"instances": [[0] * 4, [3e38] * 4]}, {"inputs": [[0] * 4, [3e38] * 4]}):
        assert server.predict(form) == (
            400,
            {"error": "q of row 1 is not finite: the observation is too large for this policy"},
        )


@pytest.mark.parametrize("path", ["/v1/models/sum/versions/{}", "/v1/models/sum/versions/{}/metadata"])
@pytest.mark.parametrize("version", ["9" * 5000, "9" * 19, "-1", "1.0", "one", "%31%0a", "１"])
def test_a_version_that_is_no_number_is_a_malformed_request(server: InProcess, path: str, version: str) -> None:
    status, found = server.ask("GET", quote(path.format(version), safe="/%"))
    assert status == 400 and found["error"].startswith("Malformed request: GET /v1/models/sum/versions/")
    assert len(found["error"]) < 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/models/sum/versions/1:predict", 200),
        ("POST", "/v1/models/%73um%3Apredict", 200),
        ("POST", "/v1/models/sum/versions/01:predict", 200),
        ("POST", f"/v1/models/sum/versions/{'9' * 18}:predict", 404),
        ("POST", f"/v1/models/sum/versions/{'9' * 5000}:predict", 400),
        ("POST", "/v1/models/sum/labels/stable:predict", 200),
        ("POST", "/v1/models/sum/labels/next:predict", 404),
        ("POST", "/v1/models/sum/labels/none:predict", 400),
        ("POST", "/v1/models/other/labels/stable:predict", 404),
        ("POST", "/v1/models/sum/labels/stable/versions/1:predict", 400),
        ("POST", "/v1/models/%ff%00:predict", 404),
        ("POST", "//v1/models/sum:predict", 400),
        ("PUT", PREDICT, 405),
        ("HEAD", PREDICT, 405),
        ("OPTIONS", PREDICT, 405),
        ("OPTIONS", "*", 400),
        ("HEAD", "/v1/models/other", 404),
    ],
)
def test_every_path_and_method_is_answered(server: InProcess, method: str, path: str, status: int) -> None:
    found, answer = server.ask(method, path, ONE)
    assert found == status
    assert (answer is None) == (method == "HEAD")


@pytest.mark.parametrize("path", ["/", "/metrics", "/v1/models"])
def test_who_asks_for_another_path_hears_which_there_are(server: InProcess, path: str) -> None:
    assert server.ask("GET", path) == (400, {"error": f"Malformed request: GET {path}: {PATHS}"})
    for there in ("/v1/models/sum", "/openapi.json"):
        assert server.ask("GET", there)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PREDICT, "POST"),
        ("GET", "/v1/models/sum/versions/1:predict", "POST"),
        ("GET", "/v1/models/sum/labels/stable:predict", "POST"),
        ("GET", "/v2/models/sum/infer", "POST"),
        ("POST", "/v1/models/sum", "GET, HEAD"),
        ("PUT", "/v2/models/sum/ready", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
    ],
)
def test_another_method_than_a_path_s_is_told_which_it_takes(
    server: InProcess, method: str, path: str, allowed: str
) -> None:
    text = received(server.connect(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{CLOSE}\r\n".encode()))
    words = allowed.replace(", ", " and ")
    assert bodies(text) == [(405, {"error": f"{method} {path}: this path takes {words}"})]
    assert f"\r\nallow: {allowed}\r\n".encode() in text


@pytest.mark.parametrize("host", ["[", "a@b[", "\xff", ""])
@pytest.mark.parametrize("path", ["/nowhere", "/healthz/", "/v1/models/sum/"])
def test_a_host_that_is_none_and_a_slash_too_many_are_malformed_requests(
    server: InProcess, host: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = received(server.connect(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{CLOSE}\r\n".encode("latin-1")))
    assert bodies(text) == [(400, {"error": f"Malformed request: GET {path}: {PATHS}"})]
    assert b"location" not in text.lower()
    assert not caplog.records


def test_a_label_is_a_version_by_another_name(server: InProcess) -> None:
    for path in ("/v1/models/sum/versions/1/metadata", "/v1/models/sum/labels/stable/metadata"):
        status, found = server.ask("GET", path)
        assert (status, found["model_spec"]["version"]) == (200, "1")
    unknown = {"error": f"Unrecognized servable version label: {'x' * 50}; labels: next, stable"}
    for path in (f"/v1/models/sum/labels/{'x' * 100}", f"/v1/models/sum/labels/{'x' * 100}/metadata"):
        assert server.ask("GET", path) == (400, unknown)
    assert server.ask("GET", "/v1/models/sum/labels/next")[0] == 404


@pytest.mark.parametrize("path", ["/v1/models/sum/versions/9", "/v2/models/sum/versions/9", "/v1/models/other"])
def test_who_asks_for_what_is_not_served_hears_what_is(server: InProcess, path: str) -> None:
    status, found = server.ask("GET", path)
    assert status == 404 and found["error"].endswith("; there is model sum, versions: 1")
    status, found = server.ask("GET", "/v1/models/sum/labels/next/metadata")
    assert (status, found) == (
        404,
        {"error": "Servable not found for request: Specific(sum, 2); there is model sum, versions: 1"},
    )


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_any_content_type_is_json(server: InProcess, kind: str) -> None:
    assert server.ask("POST", PREDICT, ONE, headers={"Content-Type": kind}) == (200, PREDICTIONS)


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_no_other_sites_script_may_ask(server: InProcess, method: str) -> None:
    head = f"{method} {PREDICT} HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere\r\n{CLOSE}"
    head += f"Access-Control-Request-Method: POST\r\nContent-Length: {len(ONE)}\r\n\r\n"
    answer = received(server.connect(head.encode() + ONE))
    assert answer.startswith(b"HTTP/1.1 405" if method == "OPTIONS" else b"HTTP/1.1 200")
    assert b"access-control" not in answer.lower()


def test_a_compressed_body_is_refused(server: InProcess) -> None:
    status, found = server.ask("POST", PREDICT, gzip.compress(ONE), headers={"Content-Encoding": "gzip"})
    assert status == 415 and "gzip is not accepted" in found["error"]
    assert server.ask("POST", PREDICT, ONE, headers={"Content-Encoding": "identity"})[0] == 200


def test_requests_one_after_the_other_without_waiting_are_answered_in_turn(server: InProcess) -> None:
    texts = [json.dumps({"instances": [[index, 0, 0, 0]]}).encode() for index in range(20)]
    sent = b"".join(request(text) for text in texts[:-1]) + request(texts[-1], head=CLOSE)
    answers = bodies(received(server.connect(sent)))
    assert answers == [(200, {"predictions": [{"action": 0, "q": float(index)}]}) for index in range(20)]


def test_a_body_in_chunks_is_one_body(server: InProcess) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{CLOSE}\r\n".encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in ONE) + b"0\r\n\r\n"
    assert bodies(received(server.connect(head + chunks))) == [(200, PREDICTIONS)]


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 2**17,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
        f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
    ],
)
def test_what_is_not_http_is_a_malformed_request(
    server: InProcess, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ((status, found),) = bodies(received(server.connect(text)))
    assert status == 400 and "Malformed request" in found["error"]
    assert server.ask("POST", PREDICT, ONE) == (200, PREDICTIONS)
    assert not caplog.records


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
def test_an_offer_of_another_protocol_is_passed_over_and_its_body_is_read(server: InProcess, upgrade: str) -> None:
    head = f"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n"
    connection = server.connect(request(ONE, head=head)[: -len(ONE)])  # Java's client offers it
    assert server.ask("GET", "/healthz")[0] == 200  # what was sent before is read by then
    connection.sendall(ONE)
    assert bodies(received(connection)) == [(200, PREDICTIONS)]


def test_offers_of_another_protocol_are_requests_like_others(server: InProcess) -> None:
    offer = "Connection: Upgrade\r\nUpgrade: h2c\r\n"
    metadata = f"GET /v1/models/sum HTTP/1.1\r\nHost: x\r\n{offer}\r\n".encode()
    chunked = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{offer}\r\n".encode()
    chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(ONE), ONE)
    sent = metadata * 10 + request(ONE, head=offer) + chunked + request(ONE, head=CLOSE)
    answers = bodies(received(server.connect(sent)))
    assert [status for status, _ in answers] == [200] * 13
    assert [found for _, found in answers[10:]] == [PREDICTIONS] * 3
    assert received(server.connect(metadata * 2000)) == b""  # too many at once


def test_what_is_not_http_after_an_early_answer_ends_the_connection(
    server: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = server.connect(head)
    early = b""
    while not early.endswith(b"}"):
        early += connection.recv(2**16)
    assert early.startswith(b"HTTP/1.1 400")
    connection.sendall(b"zz\r\n")
    assert received(connection) == b""
    assert not caplog.records


def test_a_body_whose_length_is_not_said_has_a_limit_too(server: InProcess) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{CLOSE}\r\n".encode()
    one_too_many = b"1000001\r\n" + b" " * (2**24 + 1)
    ((status, found),) = bodies(received(server.connect(head + one_too_many)))
    assert status == 413 and "16777216 bytes" in found["error"]


def test_a_length_beyond_the_limit_is_refused_before_the_body_comes(server: InProcess) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {2**24 + 1}\r\n{CLOSE}\r\n".encode()
    ((status, _),) = bodies(received(server.connect(head)))
    assert status == 413


def test_clients_that_break_off_harm_nobody(server: InProcess, caplog: pytest.LogCaptureFixture) -> None:
    for text in (b"", b"\x16\x03\x01\x02", request(b"{" + b" " * 99)[:-99]):
        server.connect(text).close()
    assert server.ask("POST", PREDICT, ONE) == (200, PREDICTIONS)
    assert not caplog.records
