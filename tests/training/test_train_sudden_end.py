"""What a run's watchdog leaves of a process that it ends, for `tfdqn inspect`."""

from pathlib import Path

import pytest

from tests.support.commands import tfdqn
from tfdqn.errors import RESTART_STATUS, STOPPED_STATUS
from tfdqn.launch.inspector import Inspector
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, read_end

PROGRAM = """
import sys, threading
from tests.support.tiny_runs import tiny
from tfdqn.config import Health
from tfdqn.coordination import sudden_end, watchdog
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.train import claimed

class Worker:
    def poll(self):
        return False

    def silent(self, seconds=0.0):
        return ["worker 1 has been silent"]

watchdog._END_SECONDS, sudden_end._TELL_SECONDS = 0.0, 240.0
has_begun, run = threading.Event(), RunDir(sys.argv[1])
is_asked, is_alone = sys.argv[2] != "alone", sys.argv[2] == "alone"
is_asked_by_now = lambda: is_asked and has_begun.is_set()
with (
    claimed(tiny(), run),
    watchdog.Watchdog("the run", Health(patience_seconds=0.1), print, is_asked_by_now) as watched,
):
    watched.state = "learning"
    watched.work.is_saved = run.is_saved = sys.argv[2] == "asked when it is saved"
    has_begun.set()
    if is_alone:
        watched.require(Worker(), "all workers answer")
    threading.Event().wait(240)
"""


@pytest.mark.parametrize(
    ("how", "status", "why"),
    [
        (
            "asked when it is saved",
            STOPPED_STATUS,
            "the run was asked to end, and was held up (learning): ended after saving",
        ),
        ("asked", STOPPED_STATUS, "the run was asked to end, and was held up (learning): ended without saving"),
        ("alone", RESTART_STATUS, "worker 1 has been silent: the run gives up without saving"),
    ],
)
def test_why_the_watchdog_has_ended_the_process_is_kept(tmp_path: Path, how: str, status: int, why: str) -> None:
    run = RunDir(tmp_path / "run")
    with tfdqn(tmp_path, str(run.path), how, program=PROGRAM, is_forked=True) as process:
        assert process.ended() == status, process.err
    assert read_end(run.end_file) == RunEnd(Outcome.STOPPED, how == "asked when it is saved", why)
    report = Inspector(str(run.path)).report()
    assert (report.status, report.problem.partition("; to ")[0]) == ("stopped", f"not finished: {why}")
