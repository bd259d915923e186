"""A tracker's process is told everything, heeds no signal that ends others, and outlives no failure and no parent."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from threading import Thread

import psutil
import pytest

from tests.support.fake_wandb import FakeWandB
from tests.support.tracker_processes import started_tracker
from tests.support.waiting import until
from tfdqn.config import Tracking
from tfdqn.storage.run_directory import RunDir
from tfdqn.tracking.tracker import BackgroundTracker, Point, TrackerError
from tfdqn.tracking.tracker_process import TrackerProcess

CONFIG = Tracking(wandb=True, wandb_project="poles", tags=("a", "b"))


@pytest.fixture
def wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeWandB:
    return FakeWandB(tmp_path, monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    (tmp_path / "run").mkdir()
    return RunDir(tmp_path / "run")


def is_running(process: psutil.Process) -> bool:
    return "tfdqn.tracking.tracker_process" in command_of(process)


def command_of(process: psutil.Process) -> list[str]:
    """None of one that has ended, perhaps at this moment."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def children(of: int | None = None) -> list[psutil.Process]:
    return list(filter(is_running, psutil.Process(of).children()))


def test_it_passes_calls_on_and_says_where_the_run_is(wandb: FakeWandB, run: RunDir) -> None:
    said: list[str] = []
    process = started_tracker("wandb", CONFIG, run, said.append)
    process.hyperparameters({"seed": 1, "agent.kind": "dqn"})
    process.scalars({"learning/loss": 0.1 + 0.2}, Point(100, 7, 1.5))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # as a terminal or Slurm sends them to all
        children()[0].send_signal(number)
    process.scalars({"learning/loss": 0.5}, Point(200, 14, 2.5))
    process.close()
    [begun] = wandb.said("init")
    assert {key: begun[key] for key in ("project", "name", "tags", "resume", "mode")} == {
        "project": "poles",
        "name": "run",
        "tags": ["a", "b"],
        "resume": "allow",
        "mode": None,
    }
    assert said == [f"wandb: https://wandb.example/{begun['id']}"]
    assert wandb.said("define_metric") == [["env_steps", None], ["*", "env_steps"]]
    assert wandb.said("config") == [{"seed": 1, "agent.kind": "dqn"}]
    assert wandb.said("log") == [
        {"learning/loss": 0.1 + 0.2, "env_steps": 100, "train_steps": 7, "seconds": 1.5},
        {"learning/loss": 0.5, "env_steps": 200, "train_steps": 14, "seconds": 2.5},
    ]
    assert wandb.said("finish") == [None]
    assert children() == []


def test_what_raises_in_the_package_is_one_line(wandb: FakeWandB, run: RunDir) -> None:
    wandb.will(fail="raise in init")
    with pytest.raises(TrackerError, match=r"^CommError: Run initialization has timed out after 90\.0 sec$"):
        started_tracker("wandb", CONFIG, run, print)
    assert "Traceback" in (run.tracking / "wandb.log").read_text()
    assert children() == []


def test_a_package_that_ends_its_process_ends_no_other(wandb: FakeWandB, run: RunDir) -> None:
    wandb.will(fail="print and exit in log")
    process = started_tracker("wandb", CONFIG, run, lambda line: None)
    with pytest.raises(TrackerError, match=r"^SystemExit: 3$"):
        process.scalars({}, Point(1, 1, 1.0))
    assert "a last word" in (run.tracking / "wandb.log").read_text()


def test_a_process_that_was_killed_is_named(wandb: FakeWandB, run: RunDir) -> None:
    process = started_tracker("wandb", CONFIG, run, lambda line: None)
    children()[0].kill()
    with pytest.raises(TrackerError, match=r"^its process was killed by signal 9 \(SIGKILL\)$"):
        for env_steps in range(1, 100):
            process.scalars({}, Point(env_steps, 1, 1.0))


@pytest.mark.parametrize("call", ["init", "log", "finish"])
def test_a_package_that_hangs_is_dropped_in_one_line_and_its_process_ends(
    wandb: FakeWandB, run: RunDir, call: str
) -> None:
    wandb.will(fail=f"hang in {call}")
    said: list[str] = []
    tracker = BackgroundTracker("wandb", lambda: TrackerProcess("wandb", CONFIG, run, lambda line: None), said.append)
    tracker.scalars({}, Point(1, 1, 1.0))
    tracker.close()
    until(lambda: wandb.said("hangs") == [call])
    tracker.wait_until_closed(0.1)
    until(lambda: children() == [] and "tracker wandb" not in [each.name for each in threading.enumerate()])
    assert said == ["warning: the tracker wandb has not come to an end in time; it is told nothing more"]


def test_what_its_package_has_started_is_killed_with_it(wandb: FakeWandB, run: RunDir) -> None:
    wandb.will(fail="hang in init with a process")
    tracker = BackgroundTracker("wandb", lambda: TrackerProcess("wandb", CONFIG, run, lambda line: None), print)
    until(lambda: wandb.said("hangs"))
    started = psutil.Process(wandb.said("starts")[0])
    assert command_of(started)[:1] == ["sleep"]
    tracker.wait_until_closed(0.1)
    until(lambda: not command_of(started))


def test_it_ends_with_its_parent_even_while_it_hangs(wandb: FakeWandB, run: RunDir) -> None:
    wandb.will(fail="hang in log")
    program = f"""
import sys
from tests.tracking.test_tracker_process import CONFIG, Point, RunDir, started_tracker
process = started_tracker("wandb", CONFIG, RunDir({str(run.path)!r}), lambda line: print(line, flush=True))
process.scalars({{}}, Point(1, 1, 1.0))
"""
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        assert b"wandb: https" in parent.stdout.readline()
        [child] = children(parent.pid)
        parent.kill()
    until(lambda: not is_running(child))


def test_it_ends_with_the_thread_that_made_it(wandb: FakeWandB, run: RunDir) -> None:
    thread = Thread(
        target=lambda: started_tracker("wandb", CONFIG, run, lambda line: None).scalars({}, Point(1, 1, 1.0))
    )
    thread.start()
    thread.join()
    until(lambda: children() == [])


def test_this_processs_own_signals_and_exit_are_untouched(wandb: FakeWandB, run: RunDir) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    streams, hook, modules = (sys.stdout, sys.stderr), sys.excepthook, set(sys.modules)
    started_tracker("wandb", CONFIG, run, lambda line: None).close()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert ((sys.stdout, sys.stderr), sys.excepthook) == (streams, hook)
    assert not [each for each in set(sys.modules) - modules if each.startswith("wandb")]
