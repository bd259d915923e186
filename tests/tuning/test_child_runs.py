"""Runs as processes: how each ends, how many go at a time, and that none is left, whatever ends them all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.processes import is_running
from tests.support.run_files import finish, finished_run
from tests.support.tiny_runs import lines, tiny
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, read_end, why_failed, write_end
from tfdqn.system.subprocesses import TFDQN
from tfdqn.tuning.child_runs import ChildRun, ChildRuns

FAKE = (sys.executable, str(PROJECT / "tests" / "support" / "fake_run.py"))


def a_run(folder: Path, seed: int, do: str = "learn finish") -> ChildRun:
    """One whose stand-in does as it is told."""
    path = folder / f"seed-{seed}"
    run = RunDir(path)
    run.process_logs.mkdir(parents=True)
    (run.process_logs / "do").write_text(do)
    return ChildRun(f"seed {seed}", tiny(f"seed={seed}"), run)


def run_all(
    runs: Sequence[ChildRun],
    jobs: int = 1,
    look: Callable[[list[ChildRun]], None] = lambda ended: None,
    command: Sequence[str] = FAKE,
) -> tuple[bool, list[str]]:
    """Whether they came to their ends, and what was said."""
    said: list[str] = []
    deadline = time.monotonic() + PATIENCE_SECONDS

    def watched(ended: list[ChildRun]) -> None:
        assert time.monotonic() < deadline, [(each.name, each.state) for each in runs]
        look(ended)

    return ChildRuns([{"SLOT": str(i)} for i in range(jobs)], said.append, command).run(runs, watched), said


def pid_of(run: ChildRun) -> int:
    return int(lines(run.run.process_logs / "told")[-1]["pid"])


def has_begun(run: ChildRun) -> bool:
    told = run.run.process_logs / "told"
    return told.exists() and told.read_text().endswith("\n")


def test_runs_end_each_in_its_own_way_and_no_failure_takes_others_along(tmp_path: Path) -> None:
    ways = ["fail", "learn finish", "raise", "die", "learn"]
    runs = [a_run(tmp_path, seed, way) for seed, way in enumerate(ways)]
    order: list[str] = []
    done, said = run_all(runs, jobs=2, look=lambda ended: order.extend(each.name for each in ended))
    assert done and not said
    assert sorted(order) == sorted(each.name for each in runs)
    failed, finished, raised, killed, saved = runs
    # Exit status 0 without a summary: somebody else has asked it to save and end.
    outcomes = [each.outcome for each in runs]
    assert outcomes == [Outcome.FAILED, Outcome.FINISHED, Outcome.FAILED, Outcome.FAILED, Outcome.STOPPED]
    assert [each.is_saved for each in runs] == [False, True, False, False, True]
    assert failed.why == "the pole is broken"
    assert raised.why == "has ended with status 1 (ValueError: something broke)"
    assert killed.why == "was killed by signal 9 (SIGKILL)"
    assert [each.was_killed for each in runs] == [False, False, False, True, False]
    assert "the pole is broken" in failed.run.child_log.read_text()
    assert finished.summary() is not None and saved.summary() is None


def test_a_process_gets_the_configuration_its_directory_and_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", "{}")
    run = a_run(tmp_path, 7)
    ChildRuns([{"TF_CONFIG": None, "TF_NUM_INTRAOP_THREADS": "3"}], print, FAKE).run([run], lambda ended: None)
    (told,) = lines(run.run.process_logs / "told")
    verb, config, *rest = told["arguments"]
    assert (verb, rest) == ("train", ["--run-dir", str(run.run.path)])
    assert (told["TF_CONFIG"], told["TF_NUM_INTRAOP_THREADS"]) == (None, "3")
    assert Path(config) == run.run.child_config_file
    assert "\nseed = 7 " in Path(config).read_text()


def test_no_more_run_at_a_time_than_there_is_room_for(tmp_path: Path) -> None:
    runs = [a_run(tmp_path, seed, "wait finish") for seed in range(5)]
    alive: list[int] = []

    def look(ended: list[ChildRun]) -> None:
        now = [each for each in runs if each.is_alive]
        alive.append(len(now))
        if now and all(map(has_begun, now)):
            now[0].stop()

    assert run_all(runs, jobs=2, look=look)[0]
    assert max(alive) == 2
    assert [each.outcome for each in runs] == [Outcome.FINISHED] * 5


def test_a_next_run_is_asked_for_when_there_is_room_and_after_the_last_was_told_of(tmp_path: Path) -> None:
    seen: list[str] = []

    def source() -> Iterator[ChildRun]:
        for seed in range(3):
            seen.append(f"asked {seed}")
            yield a_run(tmp_path, seed)

    pool = ChildRuns([{}], print, FAKE)
    assert pool.run(source(), lambda ended: seen.extend(each.name for each in ended))
    assert seen == ["asked 0", "seed 0", "asked 1", "seed 1", "asked 2", "seed 2"]


def test_a_source_that_has_nothing_just_now_is_asked_again(tmp_path: Path) -> None:
    """Even where nothing runs: what it waits for may come from elsewhere."""
    seen: list[str] = []

    def source() -> Iterator[ChildRun | None]:
        for seed in range(2):
            yield None
            yield None
            seen.append(f"asked {seed}")
            yield a_run(tmp_path, seed)

    assert ChildRuns([{}, {}], print, FAKE).run(source(), lambda ended: seen.extend(each.name for each in ended))
    assert sorted(seen) == ["asked 0", "asked 1", "seed 0", "seed 1"]


def test_progress_is_what_the_runs_files_say(tmp_path: Path) -> None:
    run = a_run(tmp_path, 1, "learn wait")
    assert (run.state, run.progress().env_steps, run.progress().best_return) == ("waiting", 0, None)
    states: list[str] = []

    def look(ended: list[ChildRun]) -> None:
        states.append(run.state)
        if run.state == "learning" and run.progress().evaluations:
            run.stop()
            states.append(run.state)  # it may have ended before it is looked at again

    assert run_all([run], look=look)[0]
    told = list(dict.fromkeys(states))
    assert told == ["waiting", "starting", "learning", "stopping", "stopped"]
    progress = run.progress()
    assert (progress.env_steps, progress.seconds, progress.env_steps_per_second) == (600, 1.5, 400.0)
    assert progress.best_return == 9.5
    assert run.is_saved and run.outcome is Outcome.STOPPED
    finish(run.run.path, 9.5)  # its curves end before it does
    assert run.take_as_finished()
    assert (run.progress().env_steps, run.progress().train_steps, run.progress().seconds) == (1_200, 270, 3.0)


def test_a_deaf_process_is_killed_in_the_end_with_all_that_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.tuning.child_runs._GRACE_SECONDS", 0.2)
    run = a_run(tmp_path, 1, "deaf child learn wait")
    assert run_all([run], look=lambda ended: run.stop() if run.state == "learning" else None)[0]
    assert (run.outcome, run.is_saved) == (Outcome.STOPPED, False)
    child = int((run.run.process_logs / "child").read_text())
    until(lambda: not is_running(child))


@pytest.mark.parametrize(("do", "is_saved"), [("learn wait saved held-up", True), ("learn wait held-up", False)])
def test_one_that_was_held_up_says_itself_that_it_has_saved(tmp_path: Path, do: str, is_saved: bool) -> None:
    run = a_run(tmp_path, 1, do)
    write_end(run.run.end_file, RunEnd(Outcome.STOPPED, True, "it was interrupted"))  # the last time
    assert run_all([run], look=lambda ended: run.stop() if run.state == "learning" else None)[0]
    assert (run.outcome, run.is_saved) == (Outcome.STOPPED, is_saved)
    run.keep_interruption()
    why = "it was asked to end, and was held up (drawing): ended after saving"
    assert read_end(run.run.end_file) == (RunEnd(Outcome.STOPPED, True, why) if is_saved else None)


def test_a_signal_asks_all_to_end_and_starts_no_more(tmp_path: Path) -> None:
    runs = [a_run(tmp_path, seed, "learn wait") for seed in range(3)]

    def look(ended: list[ChildRun]) -> None:
        if [each.state for each in runs[:2]] == ["learning"] * 2:
            os.kill(os.getpid(), signal.SIGTERM)

    done, said = run_all(runs, jobs=2, look=look)
    assert not done
    assert said == ["stopping on SIGTERM; Ctrl-C ends everything at once, saved or not"]
    assert [each.outcome for each in runs] == [Outcome.STOPPED, Outcome.STOPPED, None]
    assert runs[0].is_saved and runs[1].is_saved
    assert not any(is_running(pid_of(each)) for each in runs[:2])


def test_what_fails_here_lets_all_save_first(tmp_path: Path) -> None:
    run = a_run(tmp_path, 1, "learn wait")

    def look(ended: list[ChildRun]) -> None:
        if run.state == "learning":
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        run_all([run], look=look)
    assert (run.outcome, run.is_saved) == (Outcome.STOPPED, True)


def test_what_fails_here_while_all_are_asked_to_end_lets_them_save_too(tmp_path: Path) -> None:
    runs = [a_run(tmp_path, seed, "learn wait") for seed in range(2)]

    def look(ended: list[ChildRun]) -> None:
        if ended:
            raise OSError("the disk is full")
        if [each.state for each in runs] == ["learning"] * 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(OSError, match="the disk is full"):
        run_all(runs, jobs=2, look=look)
    assert [(each.outcome, each.is_saved) for each in runs] == [(Outcome.STOPPED, True)] * 2


def test_one_that_cant_be_started_has_failed(tmp_path: Path) -> None:
    bad, good = a_run(tmp_path, 1), a_run(tmp_path, 2)
    bad.run.child_config_file.mkdir()  # stands in the way
    write_end(bad.run.end_file, RunEnd(Outcome.FAILED, False, "the pole is broken"))  # the last time
    assert run_all([bad, good])[0]
    assert (bad.outcome, good.outcome) == (Outcome.FAILED, Outcome.FINISHED)
    assert bad.why.startswith("can't be started: ")
    bad.keep_failure()
    assert why_failed(bad.run.end_file) == bad.why


def test_a_finished_run_is_told_by_its_summary_until_its_configuration_asks_for_more(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", tiny(), [5.0, 9.0], 8.5)
    summary = ChildRun("a", tiny(), run).summary()
    assert summary is not None and summary.final is not None
    assert (summary.final.mean_return, summary.best_return) == (8.5, 9.0)
    assert ChildRun("a", tiny("stop.env_steps=5000"), run).summary() is None


PARENT = """
import sys
from pathlib import Path
from tfdqn.config import Config
from tfdqn.storage.run_directory import RunDir
from tfdqn.tuning.child_runs import ChildRun, ChildRuns
folder, *fake = sys.argv[1:]
runs = [ChildRun(str(seed), Config(), RunDir(Path(folder) / f"seed-{seed}")) for seed in range(2)]
ChildRuns([{}, {}], print, fake).run(runs, lambda ended: None)
"""


def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    runs = [a_run(tmp_path, seed, "deaf wait") for seed in range(2)]
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), *FAKE]) as parent:
        until(lambda: all(map(has_begun, runs)))
        children = list(map(pid_of, runs))
        assert all(map(is_running, children))
        parent.send_signal(signal.SIGKILL)
    until(lambda: not any(map(is_running, children)))


def test_a_true_run_is_trained_and_stopped(tmp_path: Path) -> None:
    """By `tfdqn train` itself."""
    config = tiny("replay.backend=in_graph", "learner.schedule=alternate", "stop.env_steps=100000000")
    run = ChildRun("seed 1", config, RunDir(tmp_path / "run"))
    assert run_all([run], look=lambda _: run.stop() if run.progress().env_steps else None, command=TFDQN)[0]
    assert (run.outcome, run.is_saved) == (Outcome.STOPPED, True), run.run.child_log.read_text()
    assert run.run.has_checkpoint and run.summary() is None
