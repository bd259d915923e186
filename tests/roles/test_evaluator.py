"""The evaluator's process keeps the best on disk, reports, and goes on whatever becomes of the learner or itself."""

import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.support.evaluator_jobs import (
    CHANGES,
    CONFIG,
    EVALUATOR,
    at,
    first_of,
    flattering,
    heard,
    reported,
    started,
    states,
)
from tests.support.threaded_jobs import Learner, free_address, learner, role
from tests.support.tiny_runs import lines, tiny
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.cluster.topology import Topology
from tfdqn.coordination.messages import Inspection, Phase
from tfdqn.errors import RunDirError, TaskError
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.versions import versions
from tfdqn.records import Evaluation
from tfdqn.roles.entry import run_role
from tfdqn.storage.best_policy import load_best
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import discrete
from tfdqn.tracking.factory import TRACKERS
from tfdqn.tracking.tracker import Tracker


def test_it_evaluates_when_steps_are_due_and_reports_what_it_keeps(there: Learner, run_dir: RunDir) -> None:
    with started(there, run_dir) as evaluator:
        at(there, 99)
        until(lambda: states(there) == ["ready for the next evaluation"], "waiting")
        assert heard(there) == []
        at(there, 130)
        first = reported(there, 1, evaluator)
        assert first.evaluation is not None
        assert (first.evaluation.is_best, first.evaluation.train_steps, first.is_done) == (True, 0, False)
        assert first.best_return == first.evaluation.scores.mean_return
        saved, record = load_best(run_dir.best_weights, there.board.get().weights)
        assert record == first.evaluation
        np.testing.assert_array_equal(next(iter(saved.values())), there.board.get().weights[next(iter(saved))])
        env_steps = itertools.count(210, 100)
        there.publish(5, flattering(there))
        second = first_of(there, 5, env_steps, evaluator)
        assert second.evaluation is not None and second.evaluation.is_best
        assert second.best_return == 20 > first.best_return
        there.publish(6, there.board.get().weights)
        third = first_of(there, 6, env_steps, evaluator)  # no better
        assert third.evaluation is not None and not third.evaluation.is_best
        assert third.evaluations_without_best > second.evaluations_without_best == 0
    found = {each["train_steps"]: each["is_best"] for each in reversed(lines(run_dir.evaluations_file))}
    assert found == {0: True, 5: True, 6: False}  # the first of each
    assert evaluator.error is None


def test_each_new_best_is_exported_where_that_is_asked_for(run_dir: RunDir) -> None:
    config = tiny(*CHANGES, "export.on_best=true", "export.keep=1", "stop.env_steps=1_000_000")
    with learner(config) as there, started(there, run_dir, config) as evaluator:
        for evaluations in (1, 2):  # of the same weights
            at(there, 110 * evaluations)
            reported(there, evaluations, evaluator)
        until(lambda: versions(run_dir.exports) == [1], "the first version")
        there.publish(5, flattering(there))
        due = itertools.count(330, 100)

        def is_better() -> bool:
            at(there, next(due))
            return there.service.reports[-1].best_return == 20

        until(is_better, "better weights")
        until(lambda: versions(run_dir.exports) == [2], "the second version")
    policy = load_policy(run_dir.exports)
    assert policy.card["evaluation"]["mean_return"] == 20
    np.testing.assert_array_equal(policy(np.array([[0, 0, 1, 0], [0, 0, -1, 0]], np.float32)), [1, 0])


def test_the_time_of_training_is_the_learners(there: Learner, run_dir: RunDir) -> None:
    there.service.inspection = lambda: Inspection(
        phase="training",
        state="learning",
        env_steps=0,
        train_steps=0,
        episodes=0,
        seconds=1234.5,
        weights_version=0,
        updates_per_second=0.0,
        best_return=None,
        processes=(),
    )
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
    assert 1234.5 <= lines(run_dir.evaluations_file)[0]["seconds"] < 1234.5 + PATIENCE_SECONDS


def test_a_tracker_from_outside_the_package_is_told_of_every_evaluation(
    there: Learner, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[float, int]] = []

    class Listening(Tracker):
        def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
            told.append((evaluation.scores.mean_return, evaluation.env_steps))

    monkeypatch.setitem(TRACKERS, "listening", lambda *_: Listening())
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        at(there, 200)
        reported(there, 2, evaluator)
    assert told == [(each["mean_return"], each["env_steps"]) for each in lines(run_dir.evaluations_file)]


def test_its_last_say_is_of_the_newest_weights_and_of_the_best_on_fresh_episodes(
    there: Learner, run_dir: RunDir
) -> None:
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        there.publish(9, flattering(there))
        there.service.phase = Phase.FINISHING
        until(lambda: there.service.reports[-1].is_done, "the last say")
        last = there.service.reports[-1]
        assert last.evaluation is not None and last.final is not None
        assert (last.evaluation.train_steps, last.evaluation.is_best) == (9, True)
        assert (last.final.episodes, last.final.mean_return) == (4, 20)
        there.service.phase = Phase.OVER
        evaluator.ended()
        assert evaluator.is_over is True


def test_the_end_of_the_job_ends_an_evaluation(run_dir: RunDir) -> None:
    endless = tiny("health.beat_seconds=0.05", "evaluation.episodes=100000", "evaluation.interval_env_steps=100")
    with learner(endless) as there:
        at(there, 100)
        with started(there, run_dir, endless) as evaluator:
            until(lambda: [s for s in there.service.roster.status() if s.heartbeat.state == "evaluating"], "evaluation")
            there.service.phase = Phase.OVER
            evaluator.ended()
    assert not run_dir.best_weights.exists()


def test_one_that_can_keep_nothing_says_so_before_it_waits_for_anybody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    topology = Topology(learner=free_address(), actor=1, evaluator=1)
    with role(run_role, CONFIG, topology, EVALUATOR, tmp_path / "file" / "run") as evaluator:
        with pytest.raises(RunDirError, match=r"file/run can't be created or written: .*file is not a directory"):
            evaluator.ended()
        assert evaluator.said == []


def test_a_task_that_is_another_here_is_refused(there: Learner, run_dir: RunDir) -> None:
    there.service.task_spec = msgspec.structs.replace(there.task_spec, actions=discrete(3))
    with started(there, run_dir) as evaluator, pytest.raises(TaskError, match=r"actions\.counts is \(2,\), not \(3,\)"):
        evaluator.ended()
