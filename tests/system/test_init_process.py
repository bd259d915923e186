"""A container's process 1: it ends by signals as any other does, with the same status, and reaps whoever is orphaned.

The containers are PID namespaces, which only root can make.
"""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.launch.test_local_job import WITH_STAND_INS, until_at_work
from tests.support.commands import PROJECT, Tfdqn, newest, tfdqn, write_config
from tests.support.threaded_jobs import free_address
from tfdqn.coordination.peers import Peers
from tfdqn.system.init_process import work_below_process_1

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
WHOLE = "import sys; from tfdqn.__main__ import main; sys.exit(main())"
BELOW = """
import os, signal, subprocess, sys, time
from tests.launch.test_local_job import WITH_STAND_INS, until_at_work
from tfdqn.system.init_process import work_below_process_1
work_below_process_1()
"""
HANGS = (
    BELOW
    + """
import ctypes
signal.signal(signal.SIGTERM, signal.SIG_DFL)
print("hangs", flush=True)
ctypes.PyDLL(None).sleep(600)  # and holds Python's lock
"""
)


def can_contain() -> bool:
    return subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0


container_needed = pytest.mark.skipif(
    not can_contain(), reason="only root can make a PID namespace (unshare)"
)


@contextmanager
def contained(folder: Path, *arguments: str, program: str = WHOLE, **environment: str) -> Iterator[Tfdqn]:
    """A `tfdqn` that is process 1."""
    with tfdqn(folder, *arguments, program=program, below=CONTAINER, environment=environment) as process:
        yield process


def only_child(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def send_to_process_1(process: Tfdqn, number: signal.Signals) -> None:
    """As a container's host does."""
    os.kill(only_child(process.pid), number)


def until_said(terminal: int, word: bytes) -> None:
    said = b""
    while word not in said:
        said += os.read(terminal, 1000)


def test_any_other_process_goes_on_as_it_is() -> None:
    before = os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    work_below_process_1()
    assert (os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, [])) == before


@container_needed
@pytest.mark.parametrize(
    ("ends_by", "status"),
    [
        ("sys.exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("os.kill(1, signal.SIGTERM); time.sleep(600)", 143),
    ],
)
def test_its_status_is_that_of_the_work(tmp_path: Path, ends_by: str, status: int) -> None:
    with contained(tmp_path, program=BELOW + ends_by) as process:
        assert process.ended() == status, process.err


@container_needed
def test_it_ends_where_python_can_run_no_handler(tmp_path: Path) -> None:
    with contained(tmp_path, program=HANGS) as process:
        process.until(lambda: "hangs" in process.out, "hanging")
        send_to_process_1(process, signal.SIGTERM)
        assert process.ended() == 143


@container_needed
def test_orphans_are_reaped_and_nobodys_status_is_mistaken(tmp_path: Path) -> None:
    program = (
        BELOW
        + """
orphan = subprocess.run(["sh", "-c", "(exit 3) & echo $!"], stdout=subprocess.PIPE, text=True).stdout.strip()
while os.path.exists(f"/proc/{orphan}"):
    time.sleep(0.01)
sys.exit(subprocess.run(["sh", "-c", "exit 5"]).returncode)
"""
    )
    with contained(tmp_path, program=program) as process:
        assert process.ended() == 5, process.err


@container_needed
def test_nothing_outlives_it(tmp_path: Path) -> None:
    program = (
        BELOW
        + 'subprocess.Popen(["sleep", "600"], start_new_session=True); print("begun", flush=True); time.sleep(600)'
    )
    with contained(tmp_path, program=program) as process:
        process.until(lambda: "begun" in process.out, "its child")
        assert len(process.relatives()) == 4  # unshare, process 1, the work, what it has started
        send_to_process_1(process, signal.SIGTERM)
        assert process.ended() == 143
        assert process.relatives() == []


@container_needed
def test_the_terminals_ctrl_c_is_one() -> None:
    """The kernel sends it to process 1 and to the work; what process 1 passes on comes in the signals' order."""
    program = f"""{BELOW}
heard = []
for number in (signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: heard.append(number))
print("ready", flush=True)
while not heard:
    time.sleep(0.01)
print("heard", flush=True)
while signal.SIGUSR1 not in heard:
    time.sleep(0.01)
sys.exit(heard.count(signal.SIGINT))
"""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(PROJECT)
        os.execvp(CONTAINER[0], [*CONTAINER, sys.executable, "-c", program])
    until_said(terminal, b"ready")
    process_1 = only_child(pid)
    os.kill(process_1, signal.SIGSTOP)  # so that the two don't become one on the way
    os.write(terminal, b"\x03")
    until_said(terminal, b"heard")
    os.kill(process_1, signal.SIGCONT)
    os.kill(process_1, signal.SIGUSR1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    os.close(terminal)


@container_needed
def test_a_command_says_what_it_says_elsewhere(tmp_path: Path) -> None:
    with contained(tmp_path, "health", "actor", TFDQN_BEATS=str(tmp_path)) as process:
        assert process.ended() == 1
        assert process.out.startswith("actor 0: no sign of life"), process.err


@container_needed
def test_a_job_is_stopped_in_order_and_knows_of_each_process_how_it_ended(tmp_path: Path) -> None:
    job = ("launch", write_config(tmp_path), "--run-dir", "run", "--no-evaluator")
    program = f"{BELOW}\n{WITH_STAND_INS}"
    with contained(tmp_path, *job, program=program, STAND_INS=str(tmp_path)) as process:
        until_at_work(process, "learner 0", "actor 0", "replay server 0")
        os.kill(process_that_runs("run actor", process), signal.SIGKILL)
        process.until(lambda: "actor 0 was killed by signal 9 (SIGKILL)" in process.out, "its end")
        process.until(lambda: len((tmp_path / "actor-0.lives").read_text().splitlines()) == 2, "another life")
        send_to_process_1(process, signal.SIGTERM)
        assert process.ended() == 0, process.err
        assert "To resume: " in process.out
        assert process.relatives() == []


def process_that_runs(words: str, process: Tfdqn) -> int:
    """Of a container's processes."""

    def has(pid: int) -> bool:
        return words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")

    (found,) = filter(has, process.relatives())
    return found


@container_needed
def test_training_that_is_asked_to_end_saves(tmp_path: Path) -> None:
    config = write_config(tmp_path, "stop.env_steps=100000000", "checkpoint.interval_seconds=0.5")
    with contained(tmp_path, "train", config, "--run-dir", "run") as process:
        process.until_saved(tmp_path / "run")
        before = newest(tmp_path / "run")
        send_to_process_1(process, signal.SIGTERM)
        assert process.ended() == 0, process.err
        assert "Saved. To resume: " in process.out
        assert newest(tmp_path / "run") != before


@container_needed
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.long)])
def test_who_waits_for_the_others_below_python_ends(tmp_path: Path, number: signal.Signals) -> None:
    config = write_config(tmp_path, "learner.strategy=multi_worker", "learner.workers=2")
    cluster = {"worker": [free_address(), free_address()]}
    here = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}})
    with contained(tmp_path, "train", config, "--run-dir", "run", TF_CONFIG=here) as process:
        process.until(lambda: "until all have met" in process.out, "meeting")
        process.until(Peers({"itself": cluster["worker"][0]}).poll, "TensorFlow's server")
        send_to_process_1(process, number)
        assert process.ended() == 128 + number
