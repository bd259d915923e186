"""Runs that share a process, seen from outside: how each ends, whatever becomes of the process."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.processes import is_running
from tests.support.run_files import finish
from tests.support.tiny_runs import lines, tiny
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.config import toml
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, write_end
from tfdqn.tuning.child_runs import ChildRuns
from tfdqn.tuning.run_groups import GroupedRun, RunGroup

FAKE = (sys.executable, str(PROJECT / "tests" / "support" / "fake_group.py"))


def a_run(folder: Path, seed: int, do: str) -> GroupedRun:
    run = RunDir(folder / f"seed-{seed}")
    run.process_logs.mkdir(parents=True)
    (run.process_logs / "do").write_text(do)
    return GroupedRun(f"seed {seed}", tiny(f"seed={seed}"), run)


def run_all(
    folder: Path, shares: Sequence[Sequence[GroupedRun]], look: Callable[[list[str]], None] = lambda ended: None
) -> tuple[bool, list[str]]:
    """Whether all came to their ends, and the names of those that have, in order."""
    groups = [RunGroup(runs, 2, folder / "native.log") for runs in shares]
    names: list[str] = []
    deadline = time.monotonic() + PATIENCE_SECONDS

    def watched(ended: list[RunGroup]) -> None:
        assert time.monotonic() < deadline, [(each.name, each.state) for runs in shares for each in runs]
        names.extend(run.name for group in groups for run in group.newly_ended())
        look(names)

    slots = [{"TF_NUM_INTRAOP_THREADS": "3"} for _ in shares]
    return ChildRuns[RunGroup](slots, lambda line: None, FAKE).run(groups, watched), names


def told(run: GroupedRun) -> dict:
    (found,) = lines(run.run.process_logs / "told")
    return found


def test_a_process_is_told_of_its_runs_and_each_has_its_own_end(tmp_path: Path) -> None:
    shares = [
        [a_run(tmp_path, 1, "finish"), a_run(tmp_path, 3, "fail"), a_run(tmp_path, 5, "finish")],
        [a_run(tmp_path, 2, "finish")],
    ]
    runs = [*shares[0], *shares[1]]
    assert [each.state for each in runs] == ["waiting"] * 4
    is_over, names = run_all(tmp_path, shares)
    assert is_over and sorted(names) == ["seed 1", "seed 2", "seed 3", "seed 5"]
    assert told(runs[0])["arguments"] == [
        "2",
        str(tmp_path / "native.log"),
        *(str(each.run.path) for each in shares[0]),
    ]
    assert told(runs[0])["threads"] == "3" and told(runs[0])["pid"] != told(runs[3])["pid"]
    assert [each.outcome for each in runs] == [Outcome.FINISHED, Outcome.FAILED, Outcome.FINISHED, Outcome.FINISHED]
    assert [each.is_saved for each in runs] == [True, False, True, True]
    assert runs[1].why == "the pole is broken"
    assert [each.progress().env_steps for each in runs] == [1_200, 0, 1_200, 1_200]
    assert toml.load(runs[2].run.child_config_file).seed == 5


def test_where_the_process_is_killed_those_that_have_ended_stay_so(tmp_path: Path) -> None:
    dying = [a_run(tmp_path, 1, "finish"), a_run(tmp_path, 2, "die"), a_run(tmp_path, 3, "finish")]
    other = a_run(tmp_path, 4, "finish")
    assert run_all(tmp_path, [dying, [other]])[0]
    assert [each.outcome for each in dying] == [Outcome.FINISHED, Outcome.FAILED, Outcome.FAILED]
    assert [each.why for each in dying[1:]] == ["its process was killed by signal 9 (SIGKILL)"] * 2
    assert other.outcome is Outcome.FINISHED


def test_where_the_process_ends_itself_its_reason_is_why_they_failed(tmp_path: Path) -> None:
    run = a_run(tmp_path, 1, "stall")
    assert run_all(tmp_path, [[run]])[0]
    assert (run.outcome, run.why) == (Outcome.FAILED, "its process ended: seed-3 is stuck")


def test_a_run_has_ended_once_its_process_has_released_it(tmp_path: Path) -> None:
    run = a_run(tmp_path, 1, "finish")
    run.join(RunGroup([run], 1, tmp_path / "native.log"))
    with RunDir(run.run.path).claim_alone(run.config):
        write_end(run.run.end_file, RunEnd(Outcome.STOPPED, True, "it was interrupted"))
        run.look(None)
        assert run.outcome is None
    run.look(None)
    assert (run.outcome, run.is_saved, run.why) == (Outcome.STOPPED, True, "it was interrupted")


@pytest.mark.parametrize("status", [0, -9])
def test_a_run_whose_end_could_not_be_noted_has_finished_if_its_results_are_whole(tmp_path: Path, status: int) -> None:
    whole, not_whole = a_run(tmp_path, 1, "finish"), a_run(tmp_path, 2, "finish")
    group = RunGroup([whole, not_whole], 2, tmp_path / "native.log")
    for each in (whole, not_whole):
        each.join(group)
        each.run.config_file.write_bytes(each.run.child_config_file.read_bytes())
    finish(whole.run.path, 9.5)
    for each in (whole, not_whole):
        each.look(status)
    assert (whole.outcome, whole.is_saved, whole.why) == (Outcome.FINISHED, True, "")
    assert whole.progress().env_steps == 1_200
    assert not_whole.outcome is Outcome.FAILED


def test_an_end_of_an_earlier_time_is_forgotten(tmp_path: Path) -> None:
    run = a_run(tmp_path, 1, "die")
    run.run.end_file.write_text('{"outcome": "stopped", "is_saved": true, "why": ""}')
    assert run_all(tmp_path, [[run]])[0]
    assert run.outcome is Outcome.FAILED


@pytest.mark.parametrize(("do", "is_saved"), [("wait", True), ("wait, then die", False)])
def test_a_signal_has_those_under_way_save_and_others_stay_as_they_are(tmp_path: Path, do: str, is_saved: bool) -> None:
    under_way, waiting = a_run(tmp_path, 1, do), a_run(tmp_path, 2, "not begun")
    states: list[tuple[str, str]] = []

    def look(names: list[str]) -> None:
        if under_way.state == "starting" and not states:
            states.append((under_way.state, waiting.state))
            os.kill(os.getpid(), signal.SIGTERM)

    is_over, names = run_all(tmp_path, [[under_way, waiting]], look)
    assert not is_over and names == ["seed 1"] and states == [("starting", "waiting")]
    assert (under_way.outcome, under_way.is_saved) == (Outcome.STOPPED, is_saved)
    assert (waiting.outcome, waiting.state) == (None, "waiting")
    assert not is_running(told(under_way)["pid"])


def test_one_whose_directory_can_not_be_made_fails_and_leaves_the_others_alone(tmp_path: Path) -> None:
    (tmp_path / "seed-1").write_text("in the way")
    broken = GroupedRun("seed 1", tiny("seed=1"), RunDir(tmp_path / "seed-1"))
    sound = a_run(tmp_path, 2, "finish")
    is_over, names = run_all(tmp_path, [[broken, sound]])
    assert is_over and sorted(names) == ["seed 1", "seed 2"]
    assert broken.outcome is Outcome.FAILED and broken.why.startswith("can't be started: ")
    assert sound.outcome is Outcome.FINISHED


def test_a_process_without_a_run_left_is_not_begun(tmp_path: Path) -> None:
    (tmp_path / "seed-1").write_text("in the way")
    broken = GroupedRun("seed 1", tiny("seed=1"), RunDir(tmp_path / "seed-1"))
    assert run_all(tmp_path, [[broken]]) == (True, ["seed 1"])
    assert not (tmp_path / "native.log").exists()
