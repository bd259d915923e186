"""A line of what takes seconds is on a terminal while it takes them, and nowhere else."""

import io
import sys

import pytest
from rich.console import Console

from tfdqn.cli.phase_line import PhaseLine

ERASED = "\x1b[2K"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_phase_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    with PhaseLine("loading") as line:
        assert "loading" in shown.getvalue()
        print("warning: a doubt", file=sys.stderr)
        line.close()
        line.close()
        assert sys.stderr is shown
    before, _, after = shown.getvalue().partition("warning: a doubt")
    assert ERASED in before and ERASED in after
    assert "loading" not in after.rpartition(ERASED)[2]


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_a_pipe_and_a_dumb_terminal_get_nothing(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal() if terminal == "dumb" else io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which Rich takes a pipe for a terminal
    with PhaseLine("loading"):
        assert Console(stderr=True).is_terminal
    assert shown.getvalue() == ""


def test_what_is_printed_for_programs_stays_in_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with PhaseLine("evaluating"):
        print("{}")
    assert capsys.readouterr().out == "{}\n"
