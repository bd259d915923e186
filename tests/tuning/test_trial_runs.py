"""Trials as runs: begun, watched, pruned, resumed, told to the study; a stand-in is run for `tfdqn train`."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.fake_trial import level
from tests.support.studies import SPACE, searched, study_in
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.cli.runs_view import totals_of_trials
from tfdqn.config import toml
from tfdqn.errors import ConfigError
from tfdqn.storage.run_records import why_failed, why_stopped
from tfdqn.tuning.child_runs import ChildRun
from tfdqn.tuning.search_space import Choices, NumberRange, SearchSpace
from tfdqn.tuning.study import Settings, Study
from tfdqn.tuning.study_folder import StudyError, StudyFolder
from tfdqn.tuning.study_storage import Pruner
from tfdqn.tuning.trial_records import Trial, TrialState, best_of, ended_of
from tfdqn.tuning.trial_runs import Template, search, write_best

FAKE = (sys.executable, str(PROJECT / "tests" / "support" / "fake_trial.py"))
TEMPLATE = Template(toml.dump(searched()).encode(), "small.toml", (), SPACE)


@pytest.fixture(autouse=True)
def _others_are_looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.tuning.trial_runs._SECONDS_BETWEEN_LOOKS_AT_OTHERS", 0.1)


class Watcher:
    """A view that keeps what is said, and does something whenever it is shown what runs."""

    def __init__(self, act: Callable[[Sequence[ChildRun]], None] = lambda runs: None):
        self.said: list[str] = []
        self._act = act
        self._deadline = time.monotonic() + PATIENCE_SECONDS

    def say(self, line: str) -> None:
        self.said.append(line)

    def show(self, trials: Sequence[Trial], runs: Sequence[ChildRun]) -> None:
        assert time.monotonic() < self._deadline, (trials, [(each.name, each.state) for each in runs])
        self._act(runs)


def begun(folder: Path, number: int) -> list[int]:
    """The evaluation with which each life of a trial's process began."""
    return [int(line) for line in (folder / "trials" / f"{number:03}" / "begun").read_text().split()]


def test_each_trial_is_a_run_of_its_own_whose_final_evaluation_is_its_score(tmp_path: Path) -> None:
    study, view = study_in(tmp_path), Watcher()
    assert search(study, TEMPLATE, 4, view, jobs=2, command=FAKE)
    trials = study.trials()
    assert [each.state for each in trials] == [TrialState.COMPLETE] * 4
    for each in trials:
        config = TEMPLATE.filled(each.values)
        assert each.score == pytest.approx(level(config))
        assert each.returns == pytest.approx({1: level(config) - 1, 2: level(config)})
        told = toml.load(study.folder.trial(each.number).child_config_file)
        assert told == config
        assert told.optimizer.learning_rate == each.values["optimizer.learning_rate"]
    assert sum("is complete: mean return" in line for line in view.said) == 4
    assert f"4 trials in {study.folder.path}: 2 at a time on " in view.said[0] and view.said[0].endswith("; starting")
    again = Watcher()
    assert search(study, TEMPLATE, 4, again, command=FAKE)  # it has them already
    assert not again.said[0].endswith("starting")
    assert [begun(tmp_path, number) for number in range(4)] == [[1]] * 4


def test_the_best_is_a_file_that_train_takes(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    search(study, TEMPLATE, 3, Watcher(), jobs=3, command=FAKE)
    best = best_of(study.trials())
    assert best is not None
    config = write_best(study, TEMPLATE, best)
    assert toml.load(study.folder.best_config_file) == config
    assert level(config) == pytest.approx(max(each.score for each in study.trials() if each.score is not None))
    first = study.folder.best_config_file.read_text().splitlines()[0]
    assert first == f"# Trial {best.number}, the best of {tmp_path.name}: mean return {best.score:.2f}."


def test_a_pruned_trial_is_asked_to_save_and_its_run_is_kept(tmp_path: Path) -> None:
    """Of six trials in a row, each as good as the others but the last: that ends where it is below the median."""
    study = study_in(tmp_path, Pruner.median, config=searched("stop.env_steps=20000"))
    template = Template(toml.dump(searched("stop.env_steps=20000")).encode(), "small.toml", (), SPACE)
    for _ in range(5):
        claimed = study.next_trial(6)
        assert claimed is not None
        for evaluation in range(1, 41):
            study.report(claimed, evaluation, 1_000.0)
        study.complete(claimed, 1_000.0)
    (tmp_path / "do-005").write_text("wait at 12")  # else it may have finished before it is looked at
    view = Watcher()
    assert search(study, template, 6, view, command=FAKE)
    pruned = study.trials()[5]
    assert pruned.state is TrialState.PRUNED
    assert len(pruned.returns) == 10  # a quarter of the forty evaluations
    assert study.folder.trial(5).evaluations_file.exists()
    assert not study.folder.trial(5).summary_file.exists()
    assert view.said[-1] == f"trial 5 is pruned after evaluation 10; its run is {study.folder.trial(5).path}"
    assert why_stopped(study.folder.trial(5).end_file) == "it was pruned after evaluation 10"


def test_what_is_shown_first_of_a_resumed_search_counts_the_trials_of_before(tmp_path: Path) -> None:
    assert search(study_in(tmp_path), TEMPLATE, 2, Watcher(), jobs=1, command=FAKE)
    shown: list[int] = []

    class Counter(Watcher):
        def show(self, trials: Sequence[Trial], runs: Sequence[ChildRun]) -> None:
            super().show(trials, runs)
            shown.append(ended_of(trials))

    assert search(study_in(tmp_path), TEMPLATE, 3, Counter(), jobs=1, command=FAKE)
    assert (shown[0], shown[-1]) == (2, 3)


def test_a_trial_whose_process_is_killed_is_resumed_under_its_number(tmp_path: Path) -> None:
    study, view = study_in(tmp_path), Watcher()
    (tmp_path / "do-000").write_text("die")
    assert search(study, TEMPLATE, 2, view, jobs=1, command=FAKE)
    assert [each.state for each in study.trials()] == [TrialState.COMPLETE] * 2
    assert begun(tmp_path, 0) == [1, 2]
    assert "trial 0 was killed by signal 9 (SIGKILL): it can be resumed" in view.said


def test_only_a_trial_that_has_failed_for_good_leaves_a_failure_in_its_run(tmp_path: Path) -> None:
    study = study_in(tmp_path, config=searched("stop.env_steps=5000"))
    for number, word in ((0, "die always"), (1, "fail")):
        (tmp_path / f"do-{number:03}").write_text(word)
    kept: list[tuple[str, str]] = []
    template = Template(toml.dump(searched("stop.env_steps=5000")).encode(), "small.toml", (), SPACE)

    class Listener(Watcher):
        def say(self, line: str) -> None:
            if "it can be resumed" in line or "has failed" in line:
                kept.append((line.split()[1], why_failed(study.folder.trial(int(line.split()[1])).end_file)))

    assert search(study, template, 2, Listener(), jobs=1, command=FAKE)
    killed = "was killed by signal 9 (SIGKILL)"
    assert kept == [("0", ""), ("0", ""), ("0", killed), ("1", "the pole is broken")]


def test_one_that_is_killed_again_and_again_fails(tmp_path: Path) -> None:
    study = study_in(tmp_path, config=searched("stop.env_steps=5000"))
    template = Template(toml.dump(searched("stop.env_steps=5000")).encode(), "small.toml", (), SPACE)
    (tmp_path / "do-000").write_text("die always")
    assert search(study, template, 2, Watcher(), jobs=1, command=FAKE)
    assert [each.state for each in study.trials()] == [TrialState.FAILED, TrialState.COMPLETE]
    assert study.trials()[0].why == "was killed by signal 9 (SIGKILL)"
    assert len(begun(tmp_path, 0)) == 3


def test_a_failure_is_told_and_takes_no_other_trial_along(tmp_path: Path) -> None:
    study, view = study_in(tmp_path), Watcher()
    (tmp_path / "do-001").write_text("fail")
    assert search(study, TEMPLATE, 3, view, jobs=1, command=FAKE)
    assert [each.state for each in study.trials()] == [TrialState.COMPLETE, TrialState.FAILED, TrialState.COMPLETE]
    assert f"trial 1 has failed: the pole is broken; its run is {study.folder.trial(1).path}" in view.said
    assert why_failed(study.folder.trial(1).end_file) == "the pole is broken"


def test_a_study_in_which_everything_fails_is_given_up(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    for number in range(9):
        (tmp_path / f"do-{number:03}").write_text("fail")
    with pytest.raises(
        StudyError, match=r"^3 trials have failed, and none has come to an evaluation: the pole is broken"
    ):
        search(study, TEMPLATE, 9, Watcher(), jobs=1, command=FAKE)
    assert len(study.trials()) == 3


def test_values_that_contradict_each_other_fail_without_a_process(tmp_path: Path) -> None:
    space = SearchSpace("s.toml", {"replay.min_size": Choices((100, 2_000)), "agent.n_step": NumberRange(1, 9)})
    study = Study(StudyFolder(tmp_path), searched(), space, Settings(None, "test", Pruner.none))
    template = Template(TEMPLATE.content, "small.toml", (), space)
    assert search(study, template, 8, Watcher(), jobs=2, command=FAKE)
    for each in study.trials():
        if each.values["replay.min_size"] == 100:
            assert each.state is TrialState.COMPLETE
        else:
            assert each.state is TrialState.FAILED
            assert "replay.capacity = 1000" in each.why
            assert not study.folder.trial(each.number).path.exists()
    assert len({each.state for each in study.trials()}) == 2


def test_a_value_that_means_nothing_beside_another_is_left_out() -> None:
    space = SearchSpace(
        "s.toml", {"agent.loss": Choices(("squared", "huber")), "agent.huber_delta": NumberRange(1.0, 2.0)}
    )
    template = Template(b"", "small.toml", ["seed=3"], space)
    huber = template.filled({"agent.loss": "huber", "agent.huber_delta": 1.5})
    assert toml.flat(huber)["agent.huber_delta"] == 1.5
    squared = template.filled({"agent.loss": "squared", "agent.huber_delta": 1.5})
    assert toml.flat(squared)["agent.huber_delta"] == 1.0
    assert squared.seed == 3
    with pytest.raises(ConfigError, match=r"agent\.huber_delta = -1\.0"):
        template.filled({"agent.loss": "huber", "agent.huber_delta": -1.0})


def test_a_search_that_is_stopped_leaves_its_trials_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often they were resumed before."""
    monkeypatch.setattr("tfdqn.tuning.trial_runs._MAX_STARTS", 1)
    study = study_in(tmp_path)
    for number in range(2):
        (tmp_path / f"do-{number:03}").write_text("wait")

    sent: list[int] = []

    def stop(runs: Sequence[ChildRun]) -> None:
        if len(runs) == 2 and all(each.progress().evaluations for each in runs) and not sent:
            sent.append(signal.SIGINT)  # a second one ends at once
            os.kill(os.getpid(), signal.SIGINT)

    assert not search(study, TEMPLATE, 3, Watcher(stop), jobs=2, command=FAKE)
    assert [each.state for each in study.trials()] == [TrialState.STOPPED] * 2
    assert totals_of_trials(study.trials(), 3) == "0 of 3 trials, 2 to be resumed"
    for number in range(2):
        assert why_stopped(study.folder.trial(number).end_file) == "it was interrupted by Ctrl-C"
        (tmp_path / f"do-{number:03}").unlink()
        study.folder.trial(number).metrics_file.unlink()  # as of one that was stopped before its first figures
    again, watcher = study_in(tmp_path), Watcher()
    assert search(again, TEMPLATE, 3, watcher, jobs=2, command=FAKE)
    assert [line.split(":")[0] for line in watcher.said if "goes on" in line or "begins" in line] == [
        *("trial 0 goes on", "trial 1 goes on", "trial 2 begins")
    ]
    assert [each.state for each in again.trials()] == [TrialState.COMPLETE] * 3
    assert [begun(tmp_path, number) for number in range(3)] == [[1, 2], [1, 2], [1]]


PROGRAM = """
import sys
from pathlib import Path
from tests.support.studies import study_in
from tests.tuning.test_trial_runs import FAKE, TEMPLATE, Watcher
from tfdqn.tuning.trial_runs import search
search(study_in(Path(sys.argv[1])), TEMPLATE, int(sys.argv[2]), Watcher(), jobs=2, command=FAKE)
"""


def test_trials_of_a_killed_process_go_on_in_one_that_waits_for_them(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    for number in range(2):
        (tmp_path / f"do-{number:03}").write_text("wait")
    other = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path), "2"], cwd=PROJECT)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all((study.folder.trial(number).evaluations_file).exists() for number in range(2)):
        assert time.monotonic() < deadline
        time.sleep(0.02)

    def kill() -> None:
        for number in range(2):
            (tmp_path / f"do-{number:03}").unlink()
        other.kill()

    threading.Timer(0.5, kill).start()
    assert search(study, TEMPLATE, 2, Watcher(), jobs=2, command=FAKE)
    assert other.wait(timeout=PATIENCE_SECONDS) == -9
    assert [each.state for each in study.trials()] == [TrialState.COMPLETE] * 2
    assert [begun(tmp_path, number) for number in range(2)] == [[1, 2]] * 2
