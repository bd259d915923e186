"""One study: what it draws, counts, prunes, refuses, and takes up that was left."""

import math
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from tests.support.studies import SPACE, score, searched, study_in
from tfdqn.storage.locks import FileLock
from tfdqn.tuning.search_space import NumberRange, SearchSpace
from tfdqn.tuning.study import ClaimedTrial, Settings, Study
from tfdqn.tuning.study_folder import StudyError, StudyFolder
from tfdqn.tuning.study_storage import Pruner, open_journal
from tfdqn.tuning.trial_records import Trial, TrialState, best_of, evaluation_number, total_evaluations


def claim(study: Study, wanted: int = 1_000) -> ClaimedTrial:
    claimed = study.next_trial(wanted)
    assert claimed is not None
    return claimed


def in_optuna(study: Study) -> optuna.Study:
    """The same study as other processes have it."""
    return optuna.load_study(study_name="test", storage=open_journal(study.folder.journal))


def states(study: Study) -> list[str]:
    return [each.state for each in study.trials()]


def test_trials_are_drawn_from_the_space_and_counted(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    for _ in range(12):
        claimed = claim(study)
        assert 1e-5 <= claimed.values["optimizer.learning_rate"] <= 1e-1
        assert claimed.values["agent.n_step"] in (1, 3, 5, 7, 9)
        assert claimed.values["network.hidden_units"] in ((16,), (8, 8))
        study.complete(claimed, score(claimed))
    assert study.next_trial(12) is None
    trials = study.trials()
    assert [each.number for each in trials] == list(range(12))
    best = best_of(trials)
    assert best is not None
    assert best.score == max(each.score for each in trials if each.score is not None)
    assert len({each.values["optimizer.learning_rate"] for each in trials}) == 12


def test_the_sampler_learns_from_the_scores(tmp_path: Path) -> None:
    """Of 30 trials the last ten lie nearer the optimum, 0.01 and nine steps, than the first ten, drawn by chance."""
    study = study_in(tmp_path)
    scores = []
    for _ in range(30):
        claimed = claim(study)
        scores.append(score(claimed))
        study.complete(claimed, scores[-1])
    assert sum(scores[-10:]) > sum(scores[:10]) + 2.0


def test_a_study_that_is_opened_again_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    """And not its first trials once more, as a sampler does that is seeded anew."""

    def drawn(folder: Path, again_after: int) -> list[float]:
        study, rates = study_in(folder), []
        for number in range(8):
            if number == again_after:
                study = study_in(folder)
            claimed = claim(study)
            rates.append(claimed.values["optimizer.learning_rate"])
            study.complete(claimed, score(claimed))
        return rates

    rates = drawn(tmp_path / "a", again_after=4)
    assert rates == drawn(tmp_path / "b", again_after=-1)
    assert len(set(rates)) == 8


def test_two_that_draw_at_the_same_time_draw_differently(tmp_path: Path) -> None:
    first, second = study_in(tmp_path), study_in(tmp_path)
    ours, theirs = claim(first), claim(second)
    assert (ours.number, theirs.number) == (0, 1)
    assert ours.values != theirs.values


def test_a_trial_that_was_left_is_taken_up_under_its_number_and_with_its_values(tmp_path: Path) -> None:
    first = study_in(tmp_path)
    left = claim(first)
    assert not first.report(left, 1, 5.0)
    other = study_in(tmp_path)
    assert claim(other).number == 1  # the first is somebody's
    first.release(left)
    assert states(first) == states(other) == ["to be resumed", "running"]
    taken = claim(other)
    assert (taken.number, taken.values, taken.is_resumed) == (left.number, left.values, True)
    assert not other.report(taken, 1, 6.0)  # it is known, from before
    assert not other.report(taken, 2, 7.0)
    other.complete(taken, 7.0)
    assert other.trials()[0].returns == {1: 5.0, 2: 7.0}
    assert other.trials()[0].score == 7.0


def test_one_that_ends_while_another_looks_for_what_was_left_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the other's reading of the trials and its attempt at the lock."""
    first, other = study_in(tmp_path), study_in(tmp_path)
    ending = claim(first)
    attempt = FileLock.try_acquire
    is_over: list[bool] = []

    def end_then_attempt(lock: FileLock) -> object:
        if not is_over:
            is_over.append(True)
            first.complete(ending, 1.0)
        return attempt(lock)

    monkeypatch.setattr(FileLock, "try_acquire", end_then_attempt)
    assert claim(other).number == 1
    assert states(other) == ["complete", "running"]


def test_failed_trials_count_and_lost_ones_are_replaced(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study.fail(claim(study), "the loss is NaN")
    in_optuna(study).ask()  # as a process does that dies before it has drawn the values
    assert states(study) == ["failed", "lost"]
    claimed = claim(study, wanted=2)
    assert claimed.number == 2
    assert states(study) == ["failed", "lost", "running"]
    assert [each.state.name for each in in_optuna(study).trials] == ["FAIL", "FAIL", "RUNNING"]
    study.complete(claimed, 1.0)
    assert study.next_trial(2) is None
    assert study.trials()[0].why == "the loss is NaN"


def test_a_trial_that_another_ended_is_told_to_end_and_stays_as_it_is(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    claimed = claim(study)
    # As hosts do with what they take for dead.
    in_optuna(study).tell(claimed.number, state=optuna.trial.TrialState.FAIL)
    assert study.report(claimed, 1, 3.0)
    study.complete(claimed, 3.0)
    assert states(study) == ["lost"]


def test_the_median_pruner_ends_what_is_below_the_median_after_its_first_evaluations(tmp_path: Path) -> None:
    study = study_in(tmp_path, Pruner.median, config=searched("stop.env_steps=4000"))  # eight evaluations: two are left
    for level in range(5):
        claimed = claim(study)
        for evaluation in range(1, 9):
            assert not study.report(claimed, evaluation, float(level))
        study.complete(claimed, float(level))
    low, high = claim(study), claim(study)
    assert not study.report(low, 1, 1.0)
    assert study.report(low, 2, 1.0)  # of 0, 1, 2, 3, 4 the median is 2
    assert not study.report(high, 1, 3.0)
    assert not study.report(high, 2, 3.0)
    study.prune(low)
    assert states(study)[5] == "pruned"
    assert study.trials()[5].score is None


def test_one_whose_evaluation_is_not_finite_is_pruned(tmp_path: Path) -> None:
    study = study_in(tmp_path, Pruner.asha)
    claimed = claim(study)
    assert study.report(claimed, 1, math.nan)
    study.prune(claimed)
    assert states(study) == ["pruned"]


@pytest.mark.parametrize("pruner", [Pruner.asha, Pruner.hyperband])
def test_successive_halving_ends_most_of_the_bad_ones_and_keeps_the_best(tmp_path: Path, pruner: Pruner) -> None:
    study = study_in(tmp_path, pruner, config=searched("stop.env_steps=4500"))  # nine evaluations, rungs at 2 and 6
    levels = list(range(18))
    random.Random(1).shuffle(levels)
    for level in [18, *levels]:
        claimed = claim(study)
        if any(study.report(claimed, evaluation, float(level)) for evaluation in range(1, 10)):
            study.prune(claimed)
        else:
            study.complete(claimed, float(level))
    trials = study.trials()
    assert trials[0].state is TrialState.COMPLETE
    assert sum(each.state is TrialState.PRUNED for each in trials) >= 9


def test_a_study_of_another_space_or_configuration_is_refused(tmp_path: Path) -> None:
    study_in(tmp_path)
    narrower = SearchSpace("b.toml", {**SPACE.dimensions, "agent.n_step": NumberRange(1, 5)})
    with pytest.raises(StudyError) as caught:
        Study(StudyFolder(tmp_path), searched(), narrower, Settings(None, "test"))
    assert str(caught.value) == (
        f"{tmp_path} belongs to a study of another space: agent.n_step is "
        "{low = 1, high = 9, step = 2} there, {low = 1, high = 5} here; "
        "choose another --study-dir"
    )
    with pytest.raises(StudyError, match=r"another configuration: seed is 1 there, 2 here; choose"):
        study_in(tmp_path, config=searched("seed=2"))
    study_in(tmp_path, config=searched("tracking.name=elsewhere"))
    database = f"sqlite:///{tmp_path / 'study.db'}"
    with pytest.raises(StudyError, match=r'belongs to study "test" in its journal, not study "test" in the database'):
        study_in(tmp_path, storage=database)
    study_in(tmp_path / "shared", storage=database)
    with pytest.raises(StudyError, match=r'belongs to study "test" in the database .*, not study "other" in the'):
        Study(StudyFolder(tmp_path / "shared"), searched(), SPACE, Settings(database, "other"))


def test_a_folder_with_a_journal_may_be_renamed(tmp_path: Path) -> None:
    def begin(folder: str) -> Study:
        return Study(StudyFolder(tmp_path / folder), searched(), SPACE, Settings())

    study = begin("before")
    claimed = study.next_trial(1)
    assert claimed is not None
    study.complete(claimed, 3.0)
    (tmp_path / "before").rename(tmp_path / "after")
    assert [each.score for each in begin("after").trials()] == [3.0]


def test_a_folder_that_is_no_studys_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StudyError, match=r"holds other files, such as thesis\.tex, and no study: choose an empty"):
        study_in(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_directory_is_no_studys_folder(tmp_path: Path) -> None:
    (tmp_path / ".scratch").mkdir()
    (tmp_path / "config.toml").touch()
    with pytest.raises(StudyError, match="is a run directory, not a study's folder: choose another --study-dir"):
        study_in(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {".scratch", "config.toml"}


def test_a_study_in_a_database_goes_on_from_several_folders(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    here, there = study_in(tmp_path / "here", storage=url), study_in(tmp_path / "there", storage=url)
    ours, theirs = claim(here), claim(there)
    assert (ours.number, theirs.number) == (0, 1)
    assert ours.values != theirs.values
    there.release(theirs)
    assert claim(here).number == 2  # that one's run is in the other folder
    here.keep_alive()
    assert states(here) == ["running"] * 3
    assert claim(there).number == 1
    with pytest.raises(StudyError, match=r"not study \"test\" in its journal: choose another --study-dir"):
        study_in(tmp_path / "here")


def test_a_folder_does_not_belong_to_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="can't be opened"):
        study_in(tmp_path / "here", storage="sqlite:////nowhere/at/all.db")
    assert states(study_in(tmp_path / "here", storage=f"sqlite:///{tmp_path / 'study.db'}")) == []


def test_a_databases_trials_whose_host_is_silent_are_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    here, there = study_in(tmp_path / "here", storage=url), study_in(tmp_path / "there", storage=url)
    claim(there)
    ours = claim(here)
    an_hour_ago = "UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-1 hour') WHERE trial_id = "
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute(f"{an_hour_ago}(SELECT trial_id FROM trials WHERE number = 0)")
    here.keep_alive()
    assert states(here) == ["lost", "running"]
    here.complete(ours, 1.0)
    assert claim(here, wanted=2).number == 2


@pytest.mark.parametrize("line", [b'{"op_code": 4, "worker', b'{"op_code": 4, "worker_id": "a"}'])
def test_half_a_line_that_a_killed_process_left_in_the_journal_is_cut_off(tmp_path: Path, line: bytes) -> None:
    study = study_in(tmp_path)
    study.complete(claim(study), 1.0)
    with study.folder.journal.open("ab") as journal:
        journal.write(line)
    again = study_in(tmp_path)
    again.complete(claim(again), 2.0)
    study.complete(claim(study), 3.0)
    assert [each.score for each in study_in(tmp_path).trials()] == [1.0, 2.0, 3.0]


def test_evaluations_are_numbered_by_the_steps_after_which_they_were_due() -> None:
    config = searched("stop.env_steps=4400")  # every 500
    assert total_evaluations(config) == 8
    assert [evaluation_number(config, each) for each in (0, 500, 1004, 3_996)] == [1, 1, 2, 8]


def test_the_best_is_the_complete_one_with_the_highest_score() -> None:
    trials = [
        Trial(number, TrialState.COMPLETE if score is not None else TrialState.PRUNED, {}, score, {1: 99.0})
        for number, score in enumerate([1.0, 3.0, None, 3.0])
    ]
    assert best_of(trials) == trials[1]
    assert best_of(trials[2:3]) is None
