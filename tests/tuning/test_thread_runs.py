"""Runs as threads: how each ends, how many go at a time, that all save, and what their process leaves of each end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.run_files import a_summary, finish
from tests.support.tiny_runs import tiny
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.config.toml import dump
from tfdqn.errors import ConfigError, NotFiniteError
from tfdqn.records import Summary
from tfdqn.storage.failures import keep_failure, keep_stop
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, read_end
from tfdqn.tuning import thread_runs
from tfdqn.tuning.thread_runs import ThreadRun, train_in_threads

Act = Callable[[ThreadRun, Callable[[], bool]], None]  # a run, whether it is asked to end


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> dict[int, Act]:
    """What stands in for training, by seed; by default a run finishes."""
    found: dict[int, Act] = {}

    @contextmanager
    def side_by_side(*arguments: Any) -> Iterator[Sequence[str]]:
        yield ["CPU:0"]

    def train_beside(config: Any, run: RunDir, name: str, devices: Any, log: Any, say: Any, asked: Any) -> Summary:
        run.config_file.write_text(dump(config), encoding="utf-8")
        say(f"{name} on {devices[0]}")
        this = next(each for each in started if each.run is run)
        found.get(config.seed, lambda run, asked: finish(run.run.path, 9.5))(this, asked)
        return a_summary()

    monkeypatch.setattr("tfdqn.training.together.side_by_side", side_by_side)
    monkeypatch.setattr("tfdqn.training.together.train_beside", train_beside)
    started.clear()
    return found


started: list[ThreadRun] = []


def a_run(folder: Path, seed: int) -> ThreadRun:
    started.append(ThreadRun(f"seed {seed}", tiny(f"seed={seed}"), RunDir(folder / f"seed-{seed}")))
    return started[-1]


def run_all(
    folder: Path, runs: Sequence[ThreadRun], most: int = 2, look: Callable[[list[ThreadRun]], None] = lambda ended: None
) -> tuple[bool, list[str]]:
    """Whether they came to their ends, and what was said."""
    said: list[str] = []
    deadline = time.monotonic() + PATIENCE_SECONDS

    def watched(ended: list[ThreadRun]) -> None:
        assert time.monotonic() < deadline, [(each.name, each.state) for each in runs]
        look(ended)

    return train_in_threads(runs, most, folder / "native.log", said.append, watched), said


def test_each_ends_as_it_does_and_leaves_the_others_alone(tmp_path: Path, acts: dict[int, Act]) -> None:
    def refuse(run: ThreadRun, asked: Callable[[], bool]) -> None:
        raise ConfigError("the pole is\nbroken")

    def fail(run: ThreadRun, asked: Callable[[], bool]) -> None:
        raise SystemExit("by a task")

    acts[1], acts[2], acts[4] = refuse, fail, lambda run, asked: None
    runs = [a_run(tmp_path, seed) for seed in (1, 2, 3, 4)]
    assert [each.state for each in runs] == ["waiting"] * 4
    is_over, _ = run_all(tmp_path, runs)
    assert is_over
    assert [each.outcome for each in runs] == [Outcome.FAILED, Outcome.FAILED, Outcome.FINISHED, Outcome.STOPPED]
    assert [each.why for each in runs] == ["the pole is broken", "SystemExit: by a task", "", ""]
    assert [each.is_saved for each in runs] == [False, False, True, True]
    assert runs[0].run.child_log.read_text().splitlines() == ["seed 1 on CPU:0", "tfdqn: the pole is broken"]
    assert "Traceback" in runs[1].run.child_log.read_text()


def test_no_more_go_at_a_time_than_may(tmp_path: Path, acts: dict[int, Act]) -> None:
    at_once: list[int] = []
    lock, under_way, two = threading.Lock(), 0, threading.Event()

    def act(run: ThreadRun, asked: Callable[[], bool]) -> None:
        nonlocal under_way
        with lock:
            under_way += 1
            at_once.append(under_way)
            if under_way == 2:
                two.set()
        assert two.wait(PATIENCE_SECONDS)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        finish(run.run.path, 9.5)

    runs = [a_run(tmp_path, seed) for seed in range(5)]
    acts.update(dict.fromkeys(range(5), act))
    assert run_all(tmp_path, runs)[0]
    assert max(at_once) == 2 and [each.outcome for each in runs] == [Outcome.FINISHED] * 5


def test_a_signal_before_the_first_has_begun_ends_the_process(
    tmp_path: Path, acts: dict[int, Act], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)

    @contextmanager
    def side_by_side(*arguments: Any) -> Iterator[Sequence[str]]:
        signal.raise_signal(signal.SIGTERM)
        until(lambda: ended)  # although this call goes on
        yield ["CPU:0"]

    monkeypatch.setattr("tfdqn.training.together.side_by_side", side_by_side)
    runs = [a_run(tmp_path, 1)]
    assert run_all(tmp_path, runs) == (False, ["stopped while starting: nothing was lost"])
    assert (ended, runs[0].has_begun) == ([0], False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_has_those_under_way_save_and_begins_no_more(
    tmp_path: Path, acts: dict[int, Act], number: signal.Signals
) -> None:
    runs = [a_run(tmp_path, seed) for seed in (1, 2, 3)]
    states: list[str] = []
    second_acts = threading.Event()

    def act(run: ThreadRun, asked: Callable[[], bool]) -> None:
        if run is runs[0]:
            assert second_acts.wait(60)
            os.kill(os.getpid(), number)
        else:
            second_acts.set()
        until(asked)
        states.append(run.state)

    acts.update({1: act, 2: act})
    is_over, said = run_all(tmp_path, runs)
    assert not is_over and states == ["stopping"] * 2
    assert [each.outcome for each in runs] == [Outcome.STOPPED, Outcome.STOPPED, None]
    how = "; a second Ctrl-C" if number == signal.SIGINT else " on SIGTERM; Ctrl-C"
    assert said == [f"stopping{how} ends everything at once, saved or not"]


def test_where_looking_fails_those_under_way_save_first(tmp_path: Path, acts: dict[int, Act]) -> None:
    begun, saved = list[str](), list[str]()

    def act(run: ThreadRun, asked: Callable[[], bool]) -> None:
        begun.append(run.name)
        until(asked)
        saved.append(run.name)

    def look(ended: list[ThreadRun]) -> None:
        if len(begun) == 2:
            raise OSError("the disk is full")

    acts.update({1: act, 2: act})
    with pytest.raises(OSError, match="the disk is full"):
        run_all(tmp_path, [a_run(tmp_path, seed) for seed in (1, 2)], look=look)
    assert sorted(saved) == ["seed 1", "seed 2"]


def test_one_whose_directory_can_not_be_made_has_failed(tmp_path: Path, acts: dict[int, Act]) -> None:
    (tmp_path / "seed-1").write_text("in the way")
    run = a_run(tmp_path, 1)
    assert run_all(tmp_path, [run])[0]
    assert run.outcome is Outcome.FAILED and run.why.startswith("can't be started: ")


def test_each_run_is_trained_by_its_own_configuration_and_leaves_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int, Path]] = []

    @contextmanager
    def side_by_side(config: Any, runs: int, native_log: Path) -> Iterator[Sequence[str]]:
        assert runs == 2  # at a time
        yield ["CPU:0"]

    def train_beside(
        config: Any, run: RunDir, name: str, devices: Any, log: Path, say: Callable[[str], None], asked: Any
    ) -> Summary:
        trained.append((name, config.seed, log))
        if config.seed == 7:
            raise ConfigError("the pole is broken")
        run.config_file.write_text(dump(config), encoding="utf-8")
        if config.seed == 9:
            keep_stop(run, "it was interrupted by SIGTERM", is_saved=True)
            return a_summary(status="interrupted", reason="by SIGTERM")
        finish(run.path, 9.5)
        return a_summary()

    monkeypatch.setattr("tfdqn.training.together.side_by_side", side_by_side)
    monkeypatch.setattr("tfdqn.training.together.train_beside", train_beside)
    runs = [RunDir(tmp_path / f"seed-{seed}") for seed in (6, 7, 8, 9)]
    for seed, run in zip((6, 7, 8, 9), runs, strict=True):
        run.process_logs.mkdir(parents=True)
        run.child_config_file.write_text(dump(tiny(f"seed={seed}")), encoding="utf-8")
    log = tmp_path / "native.log"
    thread_runs.main(2, log, [run.path for run in runs])
    assert sorted(trained) == [("seed-6", 6, log), ("seed-7", 7, log), ("seed-8", 8, log), ("seed-9", 9, log)]
    ends = [read_end(run.end_file) for run in runs]
    assert ends[0] == ends[2] == RunEnd(Outcome.FINISHED, True, "")
    assert ends[1] == RunEnd(Outcome.FAILED, False, "the pole is broken")
    assert ends[3] == RunEnd(Outcome.STOPPED, True, "it was interrupted by SIGTERM")


def test_what_a_run_has_noted_of_its_failure_is_not_overwritten(tmp_path: Path, acts: dict[int, Act]) -> None:
    def fails(run: ThreadRun, asked: Callable[[], bool]) -> None:
        keep_failure(run.run, "loss is nan", needs_another_run=True)
        raise NotFiniteError("loss is nan; its traceback is in native.log")

    acts[7] = fails
    run = a_run(tmp_path, 7)
    train_in_threads([run], 1, tmp_path / "native.log", lambda line: None, thread_runs._write_ends)
    assert read_end(run.run.end_file) == RunEnd(Outcome.FAILED, False, "loss is nan", needs_another_run=True)


def test_what_an_earlier_training_has_noted_is_not_taken_for_this_ones(tmp_path: Path, acts: dict[int, Act]) -> None:
    def is_refused(run: ThreadRun, asked: Callable[[], bool]) -> None:
        raise ConfigError("a key is wrong")

    acts[7] = is_refused
    run = a_run(tmp_path, 7)
    run.run.end_file.parent.mkdir(parents=True, exist_ok=True)
    keep_failure(run.run, "loss is nan", needs_another_run=True)
    train_in_threads([run], 1, tmp_path / "native.log", lambda line: None, thread_runs._write_ends)
    assert read_end(run.run.end_file) == RunEnd(Outcome.FAILED, False, "a key is wrong")


def test_an_end_that_can_t_be_written_leaves_the_other_runs_alone(tmp_path: Path, acts: dict[int, Act]) -> None:
    def names_no_text(run: ThreadRun, asked: Callable[[], bool]) -> None:
        raise ConfigError("no file /data/\udcff")

    def has_no_room(run: ThreadRun, asked: Callable[[], bool]) -> None:
        run.run.end_file.mkdir()

    acts[5], acts[6] = names_no_text, has_no_room
    runs = [a_run(tmp_path, seed) for seed in (5, 6, 7)]
    assert train_in_threads(runs, 1, tmp_path / "native.log", lambda line: None, thread_runs._write_ends)
    ends = [read_end(each.run.end_file) for each in runs]
    assert ends == [RunEnd(Outcome.FAILED, False, r"no file /data/\xff"), None, RunEnd(Outcome.FINISHED, True, "")]


def test_its_process_defers_the_same_imports_as_a_command() -> None:
    code = """if True:
        import runpy
        import sys
        sys.argv[1:] = ["1", "no-log", "no-run"]
        try:
            runpy.run_module("tfdqn.tuning.thread_runs", run_name="__main__", alter_sys=True)
        except Exception as error:
            print(type(error).__name__, sys.meta_path[0].__module__, "tensorflow" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("ConfigError tfdqn.system.quick_start False\n", "")
