"""What is read of a study from its folder: trials in each state, by whom they are run, and what is damaged."""

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
    assert reader.is_over()

    done, failed, running, stopped = (claimed_by(study) for _ in range(4))
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
    assert not reader.is_over()
    study.release(running)
    assert reader.is_over()


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
