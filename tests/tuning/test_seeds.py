"""Several seeds: what is trained, what stays, what is said and written; the runs are stand-ins."""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.run_files import finished_run
from tests.support.tiny_runs import lines, tiny
from tfdqn.errors import RunDirError
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.storage.run_records import why_stopped
from tfdqn.tuning.child_runs import ChildRun
from tfdqn.tuning.run_groups import TRAIN_GROUP
from tfdqn.tuning.seed_results import seeds_report, summarize
from tfdqn.tuning.seeds import SeedsOutcome, train_seeds, train_seeds_together

FAKE = (sys.executable, str(PROJECT / "tests" / "support" / "fake_run.py"))


class Recorder:
    """Stands in for the view."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.states: list[list[str]] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def show(self, runs: Sequence[ChildRun]) -> None:
        self.states.append([run.state for run in runs])


@pytest.fixture(autouse=True)
def _on_a_host_of_eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("child_runs", "seeds"):
        monkeypatch.setattr(f"tfdqn.tuning.{module}.available_cores", lambda: 8)
        monkeypatch.setattr(f"tfdqn.tuning.{module}.visible_gpus", lambda: ())


def tell(folder: SeedsFolder, seed: int, do: str) -> None:
    path = folder.run(seed).process_logs
    path.mkdir(parents=True, exist_ok=True)
    (path / "do").write_text(do)


def train(folder: SeedsFolder, seeds: list[int], *overrides: str, jobs: int | None = None) -> SeedsOutcome:
    return train_seeds(tiny(*overrides), seeds, folder, Recorder(), jobs, command=FAKE)


def starts(folder: SeedsFolder, seed: int) -> int:
    told = folder.run(seed).process_logs / "told"
    return len(lines(told)) if told.exists() else 0


def test_what_has_finished_stays_and_what_has_not_is_trained(tmp_path: Path) -> None:
    folder, view = SeedsFolder(tmp_path / "seeds"), Recorder()
    finished_run(folder.run(1).path, tiny("seed=1"), [8.0], 8.0)
    tell(folder, 2, "fail")  # before it is a run
    tell(folder, 3, "begin learn finish")
    outcome = train_seeds(tiny(), [3, 1, 2], folder, view, command=FAKE)
    assert [starts(folder, seed) for seed in (1, 2, 3)] == [0, 1, 1]
    assert (outcome.is_over, outcome.failed, outcome.unsaved) == (True, ["seed 2"], [])
    assert [each.status for each in outcome.summary.seeds] == ["finished", "failed", "finished"]
    assert view.lines[0] == f"3 seeds in {folder.path} (1 finished before): 2 at a time on 8 cores; starting"
    assert set(view.lines[1:]) == {
        f"seed 2 has failed: the pole is broken; its log is {folder.run(2).child_log}",
        "seed 3 has finished: mean return 9.50",
    }
    assert view.states[-1] == ["finished", "finished", "failed"]


def test_a_schedule_that_is_cut_short_is_doubted_unless_all_have_finished(tmp_path: Path) -> None:
    folder, config = SeedsFolder(tmp_path / "seeds"), tiny("exploration.decay_env_steps=12_000")
    tell(folder, 1, "begin learn finish")
    for lines_before in (3, 0):
        view = Recorder()
        train_seeds(config, [1], folder, view, command=FAKE)
        doubt = "warning: stop.env_steps = 1,200 ends the run after 10 % of exploration.decay_env_steps = 12,000"
        assert len(view.lines) == lines_before and view.lines[:1] == [doubt][:lines_before]


def test_a_seed_that_has_failed_is_tried_again(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    tell(folder, 1, "begin fail")
    tell(folder, 2, "begin learn finish")
    first = train(folder, [1, 2])
    assert (first.failed, [each.status for each in first.summary.seeds]) == (["seed 1"], ["failed", "finished"])
    assert json.loads(folder.summary_file.read_text())["seeds"][0]["reason"] == "the pole is broken"
    assert summarize(folder) == first.summary  # as `inspect` says it later
    tell(folder, 1, "begin learn finish")
    second = train(folder, [1, 2])
    assert (second.failed, [each.status for each in second.summary.seeds]) == ([], ["finished"] * 2)
    assert folder.failures() == {}
    assert [starts(folder, seed) for seed in (1, 2)] == [2, 1]
    assert second.summary.final is not None and second.summary.final.mean == 9.5
    third = train(folder, [1, 2])
    assert third.is_over and [starts(folder, seed) for seed in (1, 2)] == [2, 1]


def test_one_that_someone_else_has_stopped_is_not_taken_for_finished(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    tell(folder, 1, "begin learn")
    outcome = train(folder, [1])
    assert (outcome.is_over, outcome.failed, outcome.unsaved) == (False, [], [])


def test_what_was_not_begun_before_a_signal_is_in_the_table_too(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    tell(folder, 1, "begin learn wait")

    class Impatient(Recorder):
        def show(self, runs: Sequence[ChildRun]) -> None:
            if runs[0].state == "learning":
                report = seeds_report(folder)
                assert [each.status for each in report.seeds] == ["not finished", "not begun", "not begun"]
                assert report.status == "training" and report.options == ("--jobs", "1")
                os.kill(os.getpid(), signal.SIGINT)

    outcome = train_seeds(tiny(), [1, 2, 3], folder, Impatient(), 1, command=FAKE)
    assert [(each.seed, each.status) for each in outcome.summary.seeds] == [
        (1, "not finished"),
        (2, "not begun"),
        (3, "not begun"),
    ]
    assert (outcome.is_over, [starts(folder, seed) for seed in (1, 2, 3)]) == (False, [1, 0, 0])
    assert "--seeds 1-3 --jobs 1 --run-dir" in seeds_report(folder).resume
    assert why_stopped(folder.run(1).end_file) == "it was interrupted by Ctrl-C"


def test_each_gets_its_seed_and_its_share_of_the_cores(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    assert train(folder, [4, 9], jobs=2).is_over
    for seed in (4, 9):
        assert f"\nseed = {seed} " in folder.run(seed).child_config_file.read_text()
        assert lines(folder.run(seed).process_logs / "told")[0]["TF_NUM_INTRAOP_THREADS"] == "4"


def test_the_summary_is_of_all_seeds_in_the_folder(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    finished_run(folder.run(7).path, tiny("seed=7"), [8.5], 8.5)
    tell(folder, 1, "begin learn finish")
    outcome = train(folder, [1])
    assert [each.seed for each in outcome.summary.seeds] == [1, 7]
    assert outcome.summary.final is not None and outcome.summary.final.mean == 9.0  # of 9.5 and 8.5


def test_a_folder_of_another_configuration_is_refused_before_anything_starts(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    finished_run(folder.run(2).path, tiny("seed=2"), [8.0], 8.0)
    with pytest.raises(RunDirError, match=r"agent\.n_step: 1 in the run, 3 now"):
        train(folder, [1], "agent.n_step=3")
    assert not folder.run(1).path.exists()


def test_seeds_together_whose_process_is_killed_have_failed_later_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    tell(folder, 1, "finish")
    tell(folder, 2, "die")
    fake = (sys.executable, str(PROJECT / "tests" / "support" / "fake_group.py"))
    monkeypatch.setattr("tfdqn.tuning.seeds.TRAIN_GROUP", fake)
    monkeypatch.setattr("tfdqn.tuning.seeds._process_count", lambda seeds, cores: 1)
    outcome = train_seeds_together(tiny(), [1, 2], folder, Recorder())
    assert [each.status for each in outcome.summary.seeds] == ["finished", "failed"]
    assert summarize(folder, options=["--together"]) == outcome.summary


@pytest.mark.parametrize(
    ("seeds", "jobs", "cores", "gpus", "how"),
    [
        (4, None, 2, 0, "4 together in 2 processes on 2 cores"),
        (5, None, 2, 0, "5 together in 3 processes on 2 cores"),  # two, two and one
        (9, None, 2, 0, "8 together in 3 processes on 2 cores"),
        (3, None, 2, 0, "3 together in 3 processes on 2 cores"),
        (2, None, 4, 0, "2 together in 2 processes on 4 cores"),
        (15, None, 8, 0, "15 together in 8 processes on 8 cores"),
        (20, None, 16, 0, "20 together in 20 processes on 16 cores"),
        (40, None, 16, 0, "40 together in 20 processes on 16 cores"),
        (5, 2, 2, 0, "2 together in 2 processes on 2 cores"),
        (5, None, 1, 0, "4 together in 1 process on 1 core"),
        (5, None, 8, 2, "5 together in 2 processes on 8 cores"),
    ],
)
def test_seeds_together_are_divided_among_the_processes_that_are_done_soonest(
    seeds: int, jobs: int | None, cores: int, gpus: int, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[int, list[str]]] = []

    def start(command: Sequence[str], log: Path, environment: Mapping[str, str | None]) -> None:
        most, _, *runs = command[len(TRAIN_GROUP) :]
        started.append((int(most), [Path(run).name for run in runs]))
        raise OSError("not started by this test")

    monkeypatch.setattr("tfdqn.tuning.child_runs.start_process", start)
    monkeypatch.setattr("tfdqn.tuning.seeds.fork_server_of_runs", lambda runs: nullcontext())
    monkeypatch.setattr("tfdqn.tuning.seeds.available_cores", lambda: cores)
    monkeypatch.setattr("tfdqn.tuning.seeds.visible_gpus", lambda: tuple(map(str, range(gpus))))
    view = Recorder()
    train_seeds_together(tiny(), range(seeds), SeedsFolder(tmp_path / "seeds"), view, jobs)
    assert view.lines[0].endswith(f": {how}; starting")
    at_once, _, _, count, *_ = how.split()
    assert sum(most for most, _ in started) == int(at_once)
    assert sorted(run for _, runs in started for run in runs) == sorted(f"seed-{seed}" for seed in range(seeds))
    sizes = [len(runs) for _, runs in started]
    assert len(sizes) == int(count) and max(sizes) - min(sizes) <= 1
