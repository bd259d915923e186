"""A process that ends at once tells why before, and ends also if it can tell nobody."""

import subprocess
import sys

import pytest

from tfdqn.errors import RESTART_STATUS

PROGRAM = """
import os, sys, threading
from tfdqn.coordination import sudden_end
from tfdqn.coordination.sudden_end import end_now, end_stuck, told_of_sudden_end

def fail(*_):
    raise RuntimeError("can't")

hang = lambda line: threading.Event().wait(240)
tell = lambda line: print(line, flush=True)
{program}
"""
TELL_AND_END = """
with told_of_sudden_end(fail):
    pass
with told_of_sudden_end(tell):
    end_now("it is stuck", 9)
"""
HANG_AND_TELL = """
sudden_end._TELL_SECONDS = 1.0
with told_of_sudden_end(hang), told_of_sudden_end(fail), told_of_sudden_end(tell):
    end_now("it is stuck")
"""


def ended(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(program=program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_those_who_asked_are_told_the_line() -> None:
    done = ended(TELL_AND_END)
    assert (done.returncode, done.stdout, done.stderr) == (9, "it is stuck\n", "tfdqn: it is stuck\n")


def test_one_that_hangs_or_fails_keeps_nobody_else_from_being_told() -> None:
    done = ended(HANG_AND_TELL)
    assert (done.returncode, done.stdout) == (RESTART_STATUS, "it is stuck\n")


def test_its_line_is_printed_also_while_text_is_redirected() -> None:
    done = ended("import contextlib, io\nwith contextlib.redirect_stderr(io.StringIO()):\n    end_now('it is stuck')")
    assert (done.returncode, done.stderr) == (RESTART_STATUS, "tfdqn: it is stuck\n")


@pytest.mark.parametrize("end", ["end_now", "end_stuck"])
def test_it_tells_and_ends_also_if_its_line_can_t_be_printed(end: str) -> None:
    done = ended(f"sys.stderr.write = fail\nwith told_of_sudden_end(tell):\n    {end}('it is stuck')")
    assert (done.returncode, done.stdout) == (RESTART_STATUS, "it is stuck\n")


@pytest.mark.parametrize("end", ["end_now", "end_stuck"])
def test_it_ends_also_if_no_thread_can_be_started(end: str) -> None:
    done = ended(f"threading.Thread.start = fail\nwith told_of_sudden_end(tell):\n    {end}('it is stuck')")
    assert (done.returncode, done.stdout) == (RESTART_STATUS, "")


def test_it_tells_and_ends_also_if_nobody_reads_its_line() -> None:
    hangs = "sudden_end._TELL_SECONDS = 1.0\nsys.stderr.write = hang\n"
    done = ended(f"{hangs}with told_of_sudden_end(tell):\n    end_now('it is stuck')")
    assert (done.returncode, done.stdout) == (RESTART_STATUS, "it is stuck\n")


FILL_THE_LOG = """
import io
sudden_end._TELL_SECONDS = 1.0
sys.stderr = io.TextIOWrapper(os.fdopen(os.dup(2), "wb"))
_, log = os.pipe()
os.set_blocking(log, False)
try:
    while True:
        os.write(log, bytes(1_000))
except BlockingIOError:
    os.set_blocking(log, True)
os.dup2(log, 2)
end_stuck("it is stuck")
"""


def test_it_ends_also_if_the_log_on_its_disk_takes_nothing_more() -> None:
    done = ended(FILL_THE_LOG)
    assert (done.returncode, done.stderr) == (RESTART_STATUS, "tfdqn: it is stuck\n")
