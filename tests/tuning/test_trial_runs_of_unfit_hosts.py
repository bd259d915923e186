"""Trials that this host can't train, because its disk is full or it starts no more processes: none counts as failed."""

import errno
import os
from pathlib import Path

import pytest

from tests.support.disks import fill, small_disk
from tests.support.studies import study_in
from tests.tuning.test_trial_runs import FAKE, TEMPLATE, Watcher
from tfdqn.errors import ClusterError
from tfdqn.storage.locks import release_all
from tfdqn.tuning.study_folder import StudyError
from tfdqn.tuning.study_storage import storage_failures_as_study_error
from tfdqn.tuning.trial_records import TrialState
from tfdqn.tuning.trial_runs import search


@pytest.mark.parametrize("but_bytes", [0, 8_192, 24_576])
def test_a_full_disk_ends_the_search_and_costs_it_no_trial(tmp_path: Path, but_bytes: int) -> None:
    """Whether it is met by the study, by a trial's start, or by its process, for whose last words there is no room."""
    full = {
        0: "disk/study: the disk is full: make room$",
        8_192: "^the search has to end: trial 0 can't be started: .*No space left",
        24_576: "^the search has to end: trial 0 has stopped: .*; the disk of .*/disk/study is full: make room$",
    }[but_bytes]
    with small_disk(tmp_path, "1m") as disk:
        study = study_in(disk / "study")
        fill(disk, but_bytes)
        with pytest.raises((ClusterError, StudyError), match=full), storage_failures_as_study_error(study.folder.path):
            search(study, TEMPLATE, 2, Watcher(), jobs=1, command=FAKE)
        assert not any(each.has_ended and each.counts for each in study.trials())
        (disk / "filler").unlink()
        assert search(study_in(disk / "study"), TEMPLATE, 2, Watcher(), jobs=2, command=FAKE)
        assert [each.state for each in study.trials() if each.counts] == [TrialState.COMPLETE] * 2


def test_a_trial_that_finds_the_disk_full_lets_the_others_save(tmp_path: Path) -> None:
    """Those of this process; one of another process goes on, and one that has failed by itself still counts."""
    study, view = study_in(tmp_path), Watcher()
    others = study_in(tmp_path)
    of_another = others.next_trial(9)
    assert of_another is not None and of_another.number == 0
    for number, word in ((1, "fail"), (2, "wait"), (3, "fill")):
        (tmp_path / f"do-{number:03}").write_text(word)
    full = f"trial 3 has stopped: {study.folder.trial(3).path}: the disk is full: make room; nothing was saved yet"
    with pytest.raises(ClusterError, match=f"^the search has to end: {full}$"):
        search(study, TEMPLATE, 9, view, jobs=2, command=FAKE)
    assert f"{full}; it will be resumed" in view.said
    others.complete(of_another, 1.0)
    release_all()  # as this process's end would
    study = study_in(tmp_path)
    states = [TrialState.COMPLETE, TrialState.FAILED, TrialState.STOPPED, TrialState.STOPPED]
    assert [each.state for each in study.trials()] == states
    for number in (2, 3):
        (tmp_path / f"do-{number:03}").unlink()
    assert search(study, TEMPLATE, 4, Watcher(), jobs=2, command=FAKE)
    states = [TrialState.COMPLETE, TrialState.FAILED, TrialState.COMPLETE, TrialState.COMPLETE]
    assert [each.state for each in study.trials()] == states


def test_a_trial_that_cant_be_started_ends_the_search_and_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_in(tmp_path)

    def start(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as limited:
        for module in ("tuning.child_runs", "system.fork_server"):
            limited.setattr(f"tfdqn.{module}.start_process", start)
        why = "trial 0 can't be started: .*Resource temporarily unavailable"
        with pytest.raises(ClusterError, match=f"^the search has to end: {why}$"):
            search(study, TEMPLATE, 3, Watcher(), jobs=2, command=FAKE)
    assert [each.state for each in study.trials()] == [TrialState.STOPPED] * 2
    assert search(study_in(tmp_path), TEMPLATE, 3, Watcher(), jobs=2, command=FAKE)
    assert [each.state for each in study.trials()] == [TrialState.COMPLETE] * 3
