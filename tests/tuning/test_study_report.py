"""What is read of a study from its folder: trials in each state, by whom they are run, and what is damaged."""

import math
from pathlib import Path

import pytest

from tests.support.studies import study_in
from tfdqn.errors import UserError
from tfdqn.tuning.study import ClaimedTrial, Study
from tfdqn.tuning.study_folder import StudyFolder, is_study
from tfdqn.tuning.study_report import StudyReader


def claimed_by(study: Study) -> ClaimedTrial:
    trial = study.next_trial(9)
    assert trial is not None
    return trial


def test_trials_in_each_state_are_told_while_they_change(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    reader = StudyReader(StudyFolder(tmp_path))
    report = reader.report()
    assert (report.trials, report.counts, report.best, report.page) == ((), (), None, "")

    done, failed, _, stopped = (claimed_by(study) for _ in range(4))
    for evaluation, mean_return in ((1, 3.0), (2, 7.0), (3, 5.0)):
        study.report(done, evaluation, mean_return)
    assert [each.state for each in reader.report().trials] == ["running"] * 4
    study.complete(done, 6.5)
    study.fail(failed, "ValueError: something broke")
    study.release(stopped)
    report = reader.report()
    assert [each.state for each in report.trials] == ["complete", "failed", "running", "to be resumed"]
    assert report.counts == ("1 running", "1 to be resumed", "1 complete", "1 failed") and report.best == done.number
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
def test_a_damaged_study_is_one_line(tmp_path: Path, file: str) -> None:
    study_in(tmp_path)
    (tmp_path / file).write_text("{no JSON\n" * 2)
    with pytest.raises(UserError, match=rf"{file} is damaged: [^\n]*$"):
        StudyReader(StudyFolder(tmp_path)).report()
