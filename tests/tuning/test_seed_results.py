"""What seeds have come to: each by its files, all together by numbers that are worked out here."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.run_files import finished_run, name_own_kinds
from tests.support.tiny_runs import tiny
from tfdqn.cli.seeds import read_seeds
from tfdqn.records import Counters
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.locks import locked
from tfdqn.storage.run_folders import SeedsFolder, is_seeds_folder
from tfdqn.storage.run_records import Outcome, RunEnd, write_end
from tfdqn.system.shell_commands import own_command
from tfdqn.tuning.child_runs import ChildRun
from tfdqn.tuning.observed_run import file_bytes, progress_of
from tfdqn.tuning.seed_results import is_over, seeds_report, summarize, write_summary

FINAL = {1: 10.0, 2: 20.0, 3: 60.0, 4: 100.0, 12: 900.0}


@pytest.fixture
def folder(tmp_path: Path) -> SeedsFolder:
    folder = SeedsFolder(tmp_path / "seeds")
    for seed, final in FINAL.items():
        finished_run(folder.path / f"seed-{seed}", tiny(f"seed={seed}"), [final / 2, final + 1.0], final)
    return folder


def test_means_and_intervals_are_over_the_finished_seeds(folder: SeedsFolder) -> None:
    unfinished = folder.run(20)
    unfinished.path.mkdir()
    unfinished.config_file.write_bytes(folder.run(1).config_file.read_bytes())
    append_line(unfinished.evaluations_file, {"env_steps": 5, "mean_return": 1e6})
    found = summarize(folder)
    assert found.final is not None and found.best is not None
    assert found.final.seeds == 5
    assert found.final.mean == pytest.approx(218.0)  # (10 + 20 + 60 + 100 + 900) / 5
    assert found.final.interquartile_mean == pytest.approx(60.0)  # of the middle three: 20, 60, 100
    assert found.best.mean == pytest.approx(219.0)
    assert found.final.mean_interval is not None and found.final.interquartile_mean_interval is not None
    low, high = found.final.mean_interval
    # The mean of five draws is 10 at least and 900 at most; that of 2.5 % of them is below 26, or above 564.
    assert 10.0 <= low < 40.0 and 500.0 < high <= 900.0
    low, high = found.final.interquartile_mean_interval
    assert 10.0 <= low < 60.0 < high <= 900.0


def test_seeds_of_own_kinds_need_no_module_of_them(folder: SeedsFolder) -> None:
    before = summarize(folder)
    for seed in FINAL:
        name_own_kinds(folder.run(seed).path)
    assert summarize(folder) == before


def test_each_seed_says_what_it_has_come_to(folder: SeedsFolder) -> None:
    first, *_, last = summarize(folder).seeds
    assert (first.seed, first.run, first.status, first.final_return, first.best_return) == (
        1,
        "seed-1",
        "finished",
        10.0,
        11.0,
    )
    assert (first.env_steps, first.train_steps, first.seconds) == (1_200, 270, 3.0)
    assert first.reason == "the budget of 1,200 environment steps was reached"
    assert last.seed == 12  # by number, not by letters


def test_what_has_not_finished_is_told_apart_and_counts_for_nothing(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    for seed in (1, 2, 3):
        finished_run(folder.path / f"seed-{seed}", tiny(f"seed={seed}"), [float(seed)], 5.0)
        if seed > 1:
            folder.run(seed).summary_file.unlink()
    with locked(folder.run(2).lock_file, folder.path):
        found = summarize(folder, {3: "the pole is broken"})
    assert [each.status for each in found.seeds] == ["finished", "in training", "failed"]
    assert [each.best_return for each in found.seeds] == [1.0, 2.0, 3.0]
    assert [each.final_return for each in found.seeds] == [5.0, None, None]
    assert found.seeds[2].reason == "the pole is broken"
    assert found.final is not None and (found.final.seeds, found.final.mean_interval) == (1, None)
    assert [each.status for each in summarize(folder).seeds] == ["finished", "not finished", "not finished"]
    *_, last = summarize(folder, wanted=[3, 4]).seeds
    assert (last.seed, last.status, last.env_steps, last.final_return) == (4, "not begun", 0, None)


def test_a_failure_is_kept_until_a_process_trains_the_seed_again(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    for seed in (1, 2):
        finished_run(folder.run(seed).path, tiny(f"seed={seed}"), [5.0], 5.0)
    folder.run(2).summary_file.unlink()
    for seed in (1, 2, 3):  # the third before its run had begun
        write_end(folder.run(seed).end_file, RunEnd(Outcome.FAILED, False, "the pole is broken"))
    for seed in (1, 2):
        folder.run(seed).child_log.touch()
    found = summarize(folder).seeds
    assert [each.status for each in found] == ["finished", "failed", "failed"]  # the results of the first stand
    assert [each.reason for each in found[1:]] == ["the pole is broken"] * 2
    assert [each.log for each in found] == ["", "seed-2/processes/train.log", ""]  # the third has none
    for seed in (2, 3):
        with folder.run(seed).claim(tiny(f"seed={seed}")):
            assert [each.status for each in summarize(folder).seeds][seed - 1] == "in training"
    assert [(each.status, each.reason, each.log) for each in summarize(folder).seeds][1:] == [
        ("not finished", "", "")
    ] * 2


def test_a_seed_that_another_process_trains_has_not_failed(tmp_path: Path) -> None:
    """One's own process may have failed because of the other."""
    folder = SeedsFolder(tmp_path / "seeds")
    run = ChildRun("seed 1", tiny("seed=1"), folder.run(1))
    run.outcome, run.why = Outcome.FAILED, "it is in use"
    with folder.run(1).claim(run.config):
        for is_noted in (False, True):  # by the run's own thread, say
            if is_noted:
                write_end(run.run.end_file, RunEnd(Outcome.FAILED, False, run.why))
            assert [(each.status, each.reason) for each in summarize(folder).seeds] == [("in training", "")]
            assert [each.status for each in summarize(folder, {1: run.why}).seeds] == ["failed"]
            run.keep_failure()
            assert not run.run.end_file.exists()
    run.keep_failure()
    assert [(each.status, each.reason) for each in summarize(folder).seeds] == [("failed", "it is in use")]


def test_a_seed_has_come_as_far_as_its_last_report_or_its_newest_checkpoint(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    run = folder.run(1)
    with run.claim(tiny("seed=1")):
        pass
    observed, checkpoints = ChildRun("seed 1", tiny("seed=1"), run), CheckpointManager(run.checkpoints)
    assert observed.progress().env_steps == 0
    checkpoints.save(Counters(env_steps=435, train_steps=80, seconds=2.5), {}, lambda _: None)
    (seed,) = summarize(folder).seeds
    assert (seed.env_steps, seed.train_steps, seed.seconds) == (435, 80, 2.5)
    assert observed.progress().env_steps == 435
    append_line(run.metrics_file, {"env_steps": 600, "train_steps": 120, "seconds": 3.5})
    (seed,) = summarize(folder).seeds
    assert (seed.env_steps, seed.train_steps, seed.seconds) == (600, 120, 3.5)
    assert observed.progress().env_steps == 600
    checkpoints.save(Counters(env_steps=666, train_steps=136, seconds=3.9), {}, lambda _: None)
    assert observed.progress()[:3] == (666, 136, 3.9)


def test_what_is_measured_may_be_removed_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a user, while a table of runs is shown."""
    monkeypatch.setattr(Path, "exists", lambda _: True)
    assert file_bytes(tmp_path / "gone") == 0
    assert progress_of(SeedsFolder(tmp_path).run(1)).env_steps == 0


def test_the_file_says_the_same(folder: SeedsFolder) -> None:
    write_summary(folder, summarize(folder))
    written = json.loads(folder.summary_file.read_text())
    assert [each["final_return"] for each in written["seeds"]] == list(FINAL.values())
    assert written["final"]["interquartile_mean"] == pytest.approx(60.0)
    assert len(written["final"]["mean_interval"]) == 2


def test_what_was_asked_for_is_read_from_the_file_of_an_earlier_version(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    finished_run(folder.run(1).path, tiny("seed=1"), [5.0], 5.0)
    folder.summary_file.write_text('{"seeds":[{"seed":1,"score":5.0},{"seed":7}],"options":["--jobs","2"],"final":5.0}')
    report = seeds_report(folder)
    assert [(each.seed, each.status) for each in report.seeds] == [(1, "finished"), (7, "not begun")]
    assert report.options == ("--jobs", "2")


def test_a_report_has_the_seeds_that_were_asked_for_and_the_command_that_goes_on(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    folder.path.mkdir()
    write_summary(folder, summarize(folder, wanted=[1, 2, 3, 8], options=["--jobs", "2"]))
    assert is_seeds_folder(folder.path)
    report = seeds_report(folder)
    assert [(each.seed, each.status) for each in report.seeds] == [(seed, "not begun") for seed in (1, 2, 3, 8)]
    assert (report.status, report.resume, report.trainer) == ("stopped", "", "")  # there is no configuration yet

    finished_run(folder.run(1).path, tiny("seed=1"), [5.0], 5.0)
    finished_run(folder.run(2).path, tiny("seed=2"), [5.0], 5.0)
    folder.run(2).summary_file.unlink()
    report = seeds_report(folder)
    again = ("--seeds", "1-3,8", "--jobs", "2", "--run-dir", str(folder.path))
    assert report.resume == own_command(["train", str(folder.run(2).config_file), *again])
    assert [each.status for each in report.seeds] == ["finished", "not finished", "not begun", "not begun"]
    assert read_seeds("1-3,8") == [each.seed for each in report.seeds]

    write_end(folder.run(3).end_file, RunEnd(Outcome.FAILED, False, "the pole is broken"))
    assert (seeds_report(folder).status, seeds_report(folder).resume) == ("failed", report.resume)
    with locked(folder.lock_file, folder.path):
        found = seeds_report(folder)
        assert (found.status, found.trainer, found.resume) == ("training", f"process {os.getpid()}", "")
    with locked(folder.run(2).lock_file, folder.path):  # by a command of its own
        found = seeds_report(folder)
        assert (found.status, found.trainer, found.resume) == ("training", f"process {os.getpid()}", "")

    folder.run(3).end_file.unlink()
    for seed in (2, 3, 8):
        shutil.rmtree(folder.run(seed).path, ignore_errors=True)
        finished_run(folder.run(seed).path, tiny(f"seed={seed}"), [5.0], 5.0)
    assert (seeds_report(folder).status, seeds_report(folder).resume) == ("finished", "")
    assert is_over(folder)
