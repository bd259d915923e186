"""What a command logs is a line for its user, whatever handlers libraries have."""

import io
import logging

import pytest

from tfdqn.cli import main
from tfdqn.system.output import logged_lines

LOG = logging.getLogger("tfdqn.exporting.hub_layout")


def test_what_is_logged_is_a_line_and_no_library_prints_it_too(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with logged_lines():
        LOG.warning("%s is left out: %s", "replay.mp4", "there is no renderer")
        LOG.info("nobody needs this")
        logging.getLogger("elsewhere").warning("of a library")
    assert capsys.readouterr().err == "warning: replay.mp4 is left out: there is no renderer\n"
    assert [record.getMessage() for record in caplog.records] == ["of a library"]
    LOG.warning("after it")
    assert capsys.readouterr().err == "" and "after it" in caplog.text


def test_an_error_has_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with logged_lines():
        try:
            raise ValueError("something broke")
        except ValueError as error:
            LOG.error("POST %s", "/v1", exc_info=error)
    first, second, *_, last = capsys.readouterr().err.splitlines()
    assert (first, second, last) == (
        "error: POST /v1",
        "Traceback (most recent call last):",
        "ValueError: something broke",
    )


def test_what_can_t_be_formatted_ends_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged_lines():
        LOG.warning("%d episodes", "many")
        assert "TypeError" in capsys.readouterr().err
        closed = io.StringIO()
        closed.close()
        monkeypatch.setattr("sys.stderr", closed)
        LOG.warning("nobody reads this")


def test_every_command_logs_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.cli.main.installed_version", lambda: LOG.warning("as a command") or "1.2.3")
    assert main.main(["version"]) == 0
    written = capsys.readouterr()
    assert (written.out, written.err) == ("1.2.3\n", "warning: as a command\n")
