"""A line of what takes seconds is on a terminal while it takes them, and nowhere else; a signal then ends in order."""

import io
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.commands import tfdqn, write_config
from tfdqn.cli.phase_line import PhaseLine

ERASED = "\x1b[2K"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_phase_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    line = PhaseLine("loading")
    assert not line.is_shown
    with line:
        assert line.is_shown and "loading" in shown.getvalue()
        print("warning: a doubt", file=sys.stderr)
        line.close()
        line.close()
        assert not line.is_shown
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
    with PhaseLine("loading") as line:
        assert Console(stderr=True).is_terminal and not line.is_shown
    assert shown.getvalue() == ""


def test_what_is_printed_for_programs_stays_in_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with PhaseLine("evaluating"):
        print("{}")
    assert capsys.readouterr().out == "{}\n"


STARTS_FOR_LONG = """
import sys, time
from pathlib import Path
from tfdqn.training import prerequisites

def wait(*_):
    Path("begun").touch()
    time.sleep(60)

prerequisites.require_fitting_task = prerequisites.require_trainable = wait
from tfdqn.cli.main import main
sys.exit(main())
"""
SPACE = "[agent]\ndiscount = { low = 0.9, high = 0.99 }\n"


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (signal.SIGINT, ("tune", "tiny.toml", "space.toml", "--trials", "3")),
        (signal.SIGTERM, ("tune", "tiny.toml", "space.toml", "--study-dir", "a study")),
        (signal.SIGHUP, ("train", "tiny.toml", "--seeds", "1-3")),
        (signal.SIGINT, ("launch", "tiny.toml", "--actors", "2", "--no-evaluator")),
    ],
)
def test_a_signal_ends_a_start_with_status_0_and_the_command_to_go_on(
    tmp_path: Path, number: signal.Signals, arguments: tuple[str, ...]
) -> None:
    write_config(tmp_path)
    (tmp_path / "space.toml").write_text(SPACE)
    with tfdqn(tmp_path, *arguments, program=STARTS_FOR_LONG) as process:
        process.until((tmp_path / "begun").exists, "start")
        process.send(number)
        assert process.ended() == 0, process.err
    assert process.err == ""
    (again,) = re.findall(r"^Stopped while starting: nothing was lost\. To go on:\n(.*)\n$", process.out)
    program, verb, *rest = shlex.split(again)
    assert (program, verb) == ("tfdqn", arguments[0])
    given = [each for each in arguments[1:] if not each.startswith("--actors") and each != "2"]  # as acting.actors=2
    assert [each for each in given if each not in rest] == []
