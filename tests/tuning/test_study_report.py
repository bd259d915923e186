"""What is read of a study from its folder: trials in each state, by whom they are run, and what is damaged."""

import math
import os
from pathlib import Path

import pytest

from tests.support.run_files import finished_run
from tests.support.studies import SPACE, searched, study_in
from tests.support.tiny_runs import tiny
from tfdqn.errors import UserError
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.system.shell_commands import own_command
from tfdqn.tuning.study import ClaimedTrial, Settings, Study
from tfdqn.tuning.study_folder import Request, StudyFolder, is_study
from tfdqn.tuning.study_page import write_page
from tfdqn.tuning.study_report import StudyReader


def claimed_by(study: Study) -> ClaimedTrial:
    trial = study.next_trial(9)
    assert trial is not None
    return trial


def test_trials_in_each_state_are_told_while_they_change(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    reader = StudyReader(StudyFolder(tmp_path))
    report = reader.report()
    assert (report.trials, report.counts, report.best, report.page) == ((), {}, None, "")

    done, failed, _, stopped = (claimed_by(study) for _ in range(4))
    for evaluation, mean_return in ((1, 3.0), (2, 7.0), (3, 5.0)):
        study.report(done, evaluation, mean_return)
    assert [each.state for each in reader.report().trials] == ["running"] * 4
    study.complete(done, 6.5)
    study.fail(failed, "ValueError: something broke")
    study.release(stopped)
    report = reader.report()
    assert [each.state for each in report.trials] == ["complete", "failed", "running", "to be resumed"]
    assert report.counts == {"running": 1, "to be resumed": 1, "complete": 1, "failed": 1}
    assert (report.best, report.ended) == (done.number, 2)
    first = report.trials[0]
    assert (first.evaluations, first.best_return, first.score) == (3, 7.0, 6.5)
    units = first.values["network.hidden_units"]  # which Optuna keeps as text
    assert first.values == dict(done.values) | {"network.hidden_units": units}
    assert tuple(units) == done.values["network.hidden_units"]
    assert first.run == str(tmp_path / "trials" / "000")
    assert report.trials[1].why == "ValueError: something broke"


def test_a_study_is_over_when_no_process_works_on_it_also_between_two_trials(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    reader = StudyReader(StudyFolder(tmp_path))
    assert reader.is_over()
    for _ in range(2):  # a process that comes later has the same places for its locks
        with StudyFolder(tmp_path).worked_on():
            assert not reader.is_over()  # before the first trial
            study.complete(claimed_by(study), 6.5)
            assert not reader.is_over()
            with StudyFolder(tmp_path).worked_on():
                pass
            assert not reader.is_over()
        assert reader.is_over()
    assert len(list((tmp_path / "locks").glob("work-*"))) == 2


def test_an_evaluation_without_a_mean_return_is_not_the_best(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    some, none = claimed_by(study), claimed_by(study)
    for evaluation, mean_return in ((1, math.nan), (2, 7.0), (3, 5.0)):
        study.report(some, evaluation, mean_return)
    study.report(none, 1, math.nan)
    assert [each.best_return for each in StudyReader(StudyFolder(tmp_path)).report().trials] == [7.0, None]


def test_a_study_that_was_left_has_the_command_that_goes_on_wherever_its_folder_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    study = study_in(folder)
    trial = claimed_by(study)
    study.release(trial)
    files = (str(tmp_path / "small.toml"), str(tmp_path / "spaces" / "space.toml"))
    assert study.folder.request() is None
    strange = Request("caf\udce9.toml", "space.toml", (), (), 1, 1)
    study.folder.note(strange)
    assert study.folder.request() == strange
    study.folder.request_file.unlink()
    request = Request(*files, ("seed=3",), ("--trials", "1", "--fresh-seeds", "2"), trials=1, fresh_seeds=2)
    reader = StudyReader(StudyFolder(folder))
    assert (reader.report().status, reader.report().wanted, reader.report().resume) == ("stopped", None, "")  # older
    study.folder.note(request)
    rest = ["seed=3", "--study-dir", str(folder), "--trials", "1", "--fresh-seeds", "2"]
    report = reader.report()
    assert (report.status, report.wanted, report.ended) == ("stopped", 1, 0)
    assert report.resume == own_command(["tune", *files, *rest])
    with study.folder.worked_on():
        report = reader.report()
        assert (report.status, report.resume, report.workers) == ("training", "", (f"process {os.getpid()}",))
    monkeypatch.chdir(tmp_path)
    folder.rename(tmp_path / "moved")
    rest[2] = "moved"
    expected = own_command(["tune", "small.toml", "spaces/space.toml", *rest])
    assert StudyReader(StudyFolder("moved")).report().resume == expected
    names = Request(str(tmp_path / "-a.toml"), str(tmp_path / "-b.toml"), (), (), trials=1, fresh_seeds=2)
    assert names.command(Path("moved")) == own_command(["tune", "./-a.toml", "./-b.toml", "--study-dir", "moved"])


def test_a_study_has_finished_when_its_trials_and_their_fresh_seeds_have(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    trial = claimed_by(study)
    study.complete(trial, 6.5)
    study.folder.note(Request("small.toml", "space.toml", (), (), trials=1, fresh_seeds=2))
    reader, seeds = StudyReader(StudyFolder(tmp_path)), SeedsFolder(study.folder.seeds_of_best(trial.number))
    report = reader.report()
    assert (report.status, report.fresh_seeds, report.best_config) == ("stopped", None, "")
    study.folder.write_best(trial.number + 1, 6.0, "")  # of a best of before
    assert reader.report().best_config == ""
    study.folder.write_best(trial.number, 6.5, "")
    assert reader.report().best_config == str(study.folder.best_config_file)
    for seed, status in ((2, "stopped"), (3, "finished")):
        finished_run(seeds.run(seed).path, tiny(f"seed={seed}"), [5.0], float(seed))
        report = reader.report()
        assert report.status == status and (report.resume != "") == (status == "stopped")
    assert report.fresh_seeds is not None and report.fresh_seeds.final is not None
    assert (report.fresh_seeds.final.seeds, report.fresh_seeds.final.mean) == (2, 2.5)
    study.folder.note(Request("small.toml", "space.toml", (), (), trials=2, fresh_seeds=2))
    assert reader.report().status == "stopped"
    study.folder.note(Request("small.toml", "space.toml", (), (), trials=1, fresh_seeds=0))
    assert reader.report().status == "finished"


def test_reading_writes_nothing(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study.complete(claimed_by(study), 1.0)
    before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    assert StudyReader(StudyFolder(tmp_path)).report().best == 0
    assert {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()} == before


def test_a_study_that_has_only_its_identity_has_no_trials(tmp_path: Path) -> None:
    StudyFolder(tmp_path).settle("", "test")
    assert is_study(tmp_path) and not is_study(tmp_path / "trials")
    assert StudyReader(StudyFolder(tmp_path)).report().trials == ()
    StudyFolder(tmp_path).journal.touch()
    assert StudyReader(StudyFolder(tmp_path)).report().trials == ()


@pytest.mark.parametrize("file", ["study.json", "study.journal"])
@pytest.mark.parametrize("damage", [b"{no JSON\n" * 2, b'{"id": "\xff"}\n' * 2])
def test_a_damaged_study_is_one_line(tmp_path: Path, file: str, damage: bytes) -> None:
    study_in(tmp_path)
    (tmp_path / file).write_bytes(damage)
    with pytest.raises(UserError, match=rf"{file} is damaged: [^\n]*$"):
        StudyReader(StudyFolder(tmp_path)).report()


def test_a_study_in_a_folder_whose_name_is_not_utf8_is_named_in_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    (tmp_path / "link").symlink_to(os.fsdecode(b"caf\xe9"))
    study = Study(StudyFolder(tmp_path / "link"), searched(), SPACE, Settings())
    assert study.folder.identity().name == "caf%E9"
    write_page(study)
    assert "caf%E9" in study.folder.page.read_text(encoding="utf-8")
    study.folder.write_best(0, 6.0, "")
    assert "the best of caf%E9:" in study.folder.best_config_file.read_text(encoding="utf-8")
