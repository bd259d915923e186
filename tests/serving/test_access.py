"""Only who has a key is answered, and what can't be read is one line."""

import http.client
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.certificates import write_certificate
from tests.support.serving_client import ask
from tests.support.serving_in_process import PREDICT, serving
from tfdqn.errors import UserError
from tfdqn.serving.access import Access, FileContent, read_access, read_keys, read_tls
from tfdqn.serving.options import Options

ONE = {"instances": [[1, 2, 3, 4]]}


def keys_file(folder: Path, text: str) -> Path:
    file = folder / "keys"
    file.write_text(text)
    file.chmod(0o600)
    return file


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_with_a_certificate_every_address_is_this_host_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "robots")
    access = Access(tls=object())  # type: ignore[arg-type]
    assert access.reached_at("0.0.0.0", 8501) == "robots:8501"
    assert access.reached_at("10.0.0.1", 8501) == "10.0.0.1:8501"


def test_a_request_needs_one_of_the_keys(tmp_path: Path) -> None:
    file = keys_file(tmp_path, "# for the shop\n  first-key==  \n\nsecond.key~+/\n#third\n")
    with serving(options=Options(read_access(file, None, None, pytest.fail))) as server:
        for key in ("first-key==", "second.key~+/"):
            for scheme in ("Bearer", "bearer"):
                headers = {"Authorization": f"{scheme} {key}"}
                assert server.ask("POST", PREDICT, ONE, headers=headers)[0] == 200
        for headers in (
            *({}, bearer(""), bearer("first-key"), bearer("first-key== "[:-2]), bearer("third"), bearer("#third")),
            *(bearer("first-key==second.key~+/"), bearer("first-key==, second.key~+/"), bearer("é")),
            *({"Authorization": "first-key=="}, {"Authorization": "Basic first-key=="}, {"X-Api-Key": "first-key=="}),
        ):
            for method, path in (("POST", PREDICT), ("GET", "/v1/models/sum/metadata"), ("GET", "/nowhere")):
                status, found = server.ask(method, path, headers=headers)
                assert status == 401, headers
                assert "API key" in found["error"] and "first" not in found["error"]


def test_it_says_which_kind_of_key_it_wants(tmp_path: Path) -> None:
    with serving(options=Options(Access(FileContent(read_keys, keys_file(tmp_path, "one"))))) as server:
        for headers, challenge in (({}, "Bearer"), (bearer("two"), 'Bearer error="invalid_token"')):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request("GET", "/v1/models/sum", headers=headers)
            response = connection.getresponse()
            assert (response.status, response.getheader("WWW-Authenticate")) == (401, challenge)
            connection.close()


def test_two_keys_in_one_request_are_none(tmp_path: Path) -> None:
    keys = read_keys(keys_file(tmp_path, "a"))
    assert keys.allow([b"Bearer a"])
    assert not keys.allow([b"Bearer a", b"Bearer a"]) and not keys.allow([])


def test_every_key_is_compared_in_constant_time_whichever_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = read_keys(keys_file(tmp_path, "a\nb\nc\n"))
    compared: list[bytes] = []
    compare = lambda given, each: (compared.append(each), given == each)[1]  # noqa: E731
    monkeypatch.setattr("tfdqn.serving.access.hmac.compare_digest", compare)
    for key, is_one in ((b"a", True), (b"c", True), (b"no", False)):
        del compared[:]
        assert keys.allow([b"Bearer " + key]) == is_one
        assert set(compared) == keys.digests and len(compared) == 3


def test_a_changed_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file, said = keys_file(tmp_path, "old"), list[str]()
    keys = FileContent(read_keys, file)
    keys.refresh(said.append)
    assert said == []
    file.write_text("new")
    os.utime(file, ns=(0, 0))
    keys.refresh(said.append)
    assert said == [f"Read again: {file}"]
    assert keys.value.allow([b"Bearer new"]) and not keys.value.allow([b"Bearer old"])
    for text, why in (("", "no key in it"), (None, "No such file")):
        del said[:]
        file.write_text(text) if text is not None else file.unlink()
        keys.refresh(said.append)
        keys.refresh(said.append)
        (line,) = said
        assert why in line and line.endswith("what was read before stays.")
        assert keys.value.allow([b"Bearer new"])


def test_a_server_takes_up_new_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.serving.server._REFRESH_SECONDS", 0.01)
    file = keys_file(tmp_path, "old")
    with serving(options=Options(read_access(file, None, None, pytest.fail))) as server:
        assert server.ask("POST", PREDICT, ONE, headers=bearer("old"))[0] == 200
        file.write_text("newer")
        while server.ask("POST", PREDICT, ONE, headers=bearer("newer"))[0] != 200:
            assert server.thread.is_alive()
        assert ask(server.port, "POST", PREDICT, ONE, bearer("old"))[0] == 401


def test_mistakes_name_the_option_and_the_line_and_no_key(tmp_path: Path) -> None:
    for text, why in (
        ("", "no key in it"),
        ("# only this\n\n", "no key in it"),
        ("good\nse cret\n", "line 2: a key has only"),
        ("sécret\n", "line 1: a key has only"),
        ("=\n", "line 1: a key has only"),
    ):
        with pytest.raises(UserError, match=why) as raised:
            read_keys(keys_file(tmp_path, text))
        assert "cret" not in str(raised.value).partition("keys")[2]
        assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(UserError, match=r"--api-key-file .*: Is a directory"):
        read_keys(tmp_path)


def test_a_file_of_keys_that_all_can_read_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    file = keys_file(tmp_path, "one")
    file.chmod(0o640)
    read_access(file, None, None, said.append)
    assert said == []
    file.chmod(0o644)
    read_access(file, None, None, said.append)
    (line,) = said
    assert "every user of this host can read it" in line


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    one, two = (write_certificate(tmp_path, name) for name in ("one", "two"))
    locked = tmp_path / "locked"
    lock = ["openssl", "ec", "-aes128", "-passout", "pass:secret", "-in", one[1], "-out", locked]
    subprocess.run(lock, check=True, capture_output=True, timeout=60)
    for certificate, key, why in (
        (one[0], two[1], "KEY_VALUES_MISMATCH"),
        (one[1], one[1], "no certificate and key in PEM form that belong together"),
        (one[0], locked, "the key is encrypted"),
        (one[1], one[1], "--tls-cert .*one.key, --tls-key .*one.key: "),
        (one[0], tmp_path / "nowhere", "--tls-key .*nowhere: No such file or directory"),
        (tmp_path / "nowhere", one[1], "--tls-cert .*nowhere: No such file or directory"),
        (tmp_path, one[1], "--tls-cert .*: Is a directory"),
    ):
        with pytest.raises(UserError, match=why) as raised:
            read_tls(certificate, key)
        assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(UserError, match="give both or neither"):
        read_access(None, one[0], None, pytest.fail)


def test_a_certificate_that_is_gone_while_it_is_read_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = write_certificate(tmp_path, "one")
    tls, said = FileContent(read_tls, certificate, key), list[str]()
    before, read_bytes = tls.value, Path.read_bytes

    def read_and_remove(file: Path) -> bytes:
        found = read_bytes(file)
        file.unlink()
        return found

    monkeypatch.setattr(Path, "read_bytes", read_and_remove)
    os.utime(certificate, ns=(0, 0))
    tls.refresh(said.append)
    (line,) = said
    assert "No such file" in line and line.endswith("what was read before stays.")
    assert tls.value is before


def test_beyond_loopback_both_are_demanded(tmp_path: Path) -> None:
    keys, tls = keys_file(tmp_path, "one"), write_certificate(tmp_path, "one")
    for access, missing in (
        (read_access(None, None, None, pytest.fail), "give --api-key-file, --tls-cert and --tls-key"),
        (read_access(keys, None, None, pytest.fail), "10.0.0.1: give --tls-cert and --tls-key"),
        (read_access(None, *tls, pytest.fail), "10.0.0.1: give --api-key-file"),
    ):
        access.require_beyond_loopback("127.0.0.1")
        access.require_beyond_loopback("::1")
        with pytest.raises(UserError, match=f"{missing}, or --insecure to serve without"):
            access.require_beyond_loopback("10.0.0.1")
    read_access(keys, *tls, pytest.fail).require_beyond_loopback("10.0.0.1")
