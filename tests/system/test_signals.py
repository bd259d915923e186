"""Signals become a question that any thread may ask; those that come before a call below Python are not lost."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from textwrap import indent
from types import SimpleNamespace

import pytest

from tests.support.commands import PROJECT
from tests.support.waiting import until
from tfdqn import __main__
from tfdqn.cli import main
from tfdqn.system.signals import ended_by_signals, heard_signal, interruptions, stopping_line


def never() -> None:
    pytest.fail("nobody pressed Ctrl-C twice")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_user_has_asked_when_a_signal_has_come(number: signal.Signals) -> None:
    before = signal.getsignal(number), signal.set_wakeup_fd(-1)
    with interruptions(never) as interrupted:
        assert not interrupted()
        signal.raise_signal(number)
        assert interrupted()
    assert (signal.getsignal(number), signal.set_wakeup_fd(-1)) == before


@pytest.mark.parametrize(
    ("number", "name", "beginning"),
    [
        (signal.SIGINT, "Ctrl-C", "stopping (phase: learning); a second Ctrl-C"),
        (signal.SIGTERM, "SIGTERM", "stopping on SIGTERM (phase: learning); Ctrl-C"),
        (signal.SIGHUP, "SIGHUP", "stopping on SIGHUP (phase: learning); Ctrl-C"),
    ],
)
def test_it_is_the_signal_that_came_which_is_named(number: signal.Signals, name: str, beginning: str) -> None:
    with interruptions(lambda: None) as interrupted:
        assert heard_signal() == ""
        signal.raise_signal(number)
        assert (interrupted(), heard_signal()) == (True, name)
        signal.raise_signal(signal.SIGINT)
        line = f"{beginning} ends everything at once, saved or not"
        assert (heard_signal(), stopping_line("learning")) == (name, line)
    assert heard_signal() == ""


def test_a_ctrl_c_half_a_second_after_the_first_signal_is_a_second_one_and_an_earlier_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`timeout` sends its signal to the command, and at once again to the command's group."""
    moments, taken, ended = iter([0.0, 0.4, 0.6]), [], []

    def now() -> float:
        taken.append(next(moments))
        return taken[-1]

    monkeypatch.setattr("tfdqn.system.signals.time", SimpleNamespace(monotonic=now))
    with interruptions(lambda: ended.append(taken[-1])) as interrupted:
        for count in (1, 2, 3):
            signal.raise_signal(signal.SIGINT)
            until(lambda count=count: len(taken) == count, "the signal")
            assert interrupted()
        until(lambda: ended, "the end")
    assert set(ended) == {0.6}


def test_another_thread_hears_of_it_while_the_main_one_is_below_python() -> None:
    has_returned, heard = threading.Event(), []
    with interruptions(never) as interrupted:

        def watch() -> None:
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)  # the main thread is not disturbed
            until(interrupted, "the signal")
            heard.append(not has_returned.is_set())
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # now it is

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        ctypes.CDLL(None).sleep(60)
        has_returned.set()
        watching.join(30)
    assert heard == [True]


def test_the_first_signal_is_acknowledged_while_the_main_thread_is_below_python_and_before_what_is_said_next() -> None:
    said: list[str] = []

    def acknowledge() -> None:
        said.append("stopping")
        raise OSError  # the terminal has gone: signals are heard all the same

    with interruptions(said.clear, acknowledge) as interrupted:

        def send() -> None:
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            until(lambda: said, "the acknowledgement")
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        ctypes.CDLL(None).sleep(60)
        sending.join(30)
        assert interrupted()
    said.append("saved")
    assert said == ["stopping", "saved"]


def test_what_a_forked_child_is_sent_is_the_childs_own() -> None:
    with interruptions(never) as interrupted:
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGTERM)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        os.kill(os.getpid(), signal.SIGWINCH)  # nobody asks by this one
        assert not interrupted()


def test_signals_end_the_process_where_no_thread_could() -> None:
    def ends_by(before: signal.Signals | None, inside: signal.Signals | None) -> int:
        child = os.fork()
        if child == 0:
            with interruptions(never):
                if before is not None:
                    signal.raise_signal(before)
                with ended_by_signals():
                    if inside is not None:
                        signal.raise_signal(inside)
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert ends_by(None, None) == 7
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert ends_by(None, number) == -number
        assert ends_by(number, None) == -number  # before the block began


def test_a_ctrl_c_before_a_command_takes_its_signals_ends_it_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "main", interrupted)
    assert __main__.main() == 130


SWALLOWS = "import signal\ntry: signal.raise_signal(signal.SIGINT)\nexcept BaseException: pass\n"


@pytest.mark.parametrize(("body", "status"), [("import swallows", -signal.SIGINT), (SWALLOWS + "return 0", 0)])
def test_a_ctrl_c_that_an_import_would_swallow_ends_the_process(tmp_path: Path, body: str, status: int) -> None:
    """As Cython's modules swallow it; what a command itself swallows is its own affair."""
    (tmp_path / "swallows.py").write_text(SWALLOWS)
    program = f"""
import sys
from tfdqn import __main__
from tfdqn.cli import main
sys.path.insert(0, {str(tmp_path)!r})
def command():
{indent(body, "    ")}
    return 0
main.main = command
sys.exit(__main__.main())
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=240)
    assert run.returncode == status, run.stderr


def test_nothing_but_tfdqn_is_imported_until_the_command_line_has_the_signals() -> None:
    """A Ctrl-C meanwhile is a traceback, so that the moment must be short."""
    code = "before = set(sys.modules); import tfdqn.__main__; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-Ic", f"import sys; sys.path.insert(0, {str(PROJECT)!r}); {code}"],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    own = {"tfdqn.system", "tfdqn.system.before_tensorflow", "tfdqn.system.exits"}
    ours = {"tfdqn", "tfdqn.__main__", *own, "gym_notices.notices"}
    assert set(done.stdout.split()) <= ours | {"_signal", "atexit"}  # which are built into Python
