"""The evaluator's process keeps the best on disk, reports, and goes on whatever becomes of the learner or itself."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.support.threaded_jobs import Learner, Role, free_address, learner, role, until, weights
from tests.support.tiny_runs import lines, tiny
from tfdqn.acting.policy import Policy
from tfdqn.cluster.roles import ProcessId
from tfdqn.cluster.roles import Role as Roles
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config, Health
from tfdqn.coordination import stall_detector
from tfdqn.coordination.messages import Counts, EvaluatorReport, Inspection, Phase
from tfdqn.errors import RunDirError, TaskError
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.versions import versions
from tfdqn.records import Evaluation
from tfdqn.roles.entry import run_role
from tfdqn.storage.best_policy import load_best
from tfdqn.storage.run_directory import RunDir
from tfdqn.tracking.factory import TRACKERS
from tfdqn.tracking.tracker import Tracker

EVALUATOR = ProcessId(Roles.EVALUATOR)
CHANGES = (
    "health.beat_seconds=0.05",
    "evaluation.interval_env_steps=100",
    "evaluation.episodes=2",
    "acting.fetch_interval_seconds=0.01",
    "task.max_episode_steps=20",
)
CONFIG = tiny(*CHANGES)


@pytest.fixture
def there() -> Iterator[Learner]:
    with learner(CONFIG) as made:
        yield made


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    path = tmp_path / "run"
    path.mkdir()
    return RunDir(path)


def started(there: Learner, run_dir: RunDir, config: Config = CONFIG):  # type: ignore[no-untyped-def]
    topology = Topology(learner=there.address, actor=1, evaluator=1)
    return role(run_role, config, topology, EVALUATOR, run_dir.path)


def states(there: Learner) -> list[str]:
    return [each.heartbeat.state for each in there.service.roster.status()]


def at(there: Learner, env_steps: int) -> None:
    """Makes the job's environment steps so many."""
    there.service.roster.start_from(Counts(env_steps=env_steps))


def reported(there: Learner, evaluations: int, evaluator: Role) -> EvaluatorReport:
    """The newest report, when so many evaluations have been heard of since the learner's life began."""
    until(lambda: len(heard(there)) >= evaluations or evaluator.error, f"{evaluations} evaluations")
    assert evaluator.error is None, evaluator.error
    return there.service.evaluated


def heard(there: Learner) -> list[EvaluatorReport]:
    """Notes every report with an evaluation from the first call on."""
    if not hasattr(there.service, "heard"):
        there.service.heard = []  # type: ignore[attr-defined]
        there.service.on_evaluated = lambda report: (
            there.service.heard.append(report) if report.evaluation else None  # type: ignore[attr-defined]
        )
    return there.service.heard  # type: ignore[attr-defined]


def first_of(there: Learner, train_steps: int, env_steps: Iterator[int], evaluator: Role) -> EvaluatorReport:
    """The report of the first evaluation of these weights, which are fetched some time after they were published."""
    while True:
        at(there, next(env_steps))
        reported(there, len(heard(there)) + 1, evaluator)
        for each in heard(there):
            if each.evaluation is not None and each.evaluation.train_steps == train_steps:
                return each


def flattering(there: Learner) -> dict[str, np.ndarray]:
    """Weights that balance a little: push to where the pole falls."""
    made = {name: np.zeros_like(array) for name, array in weights(there.config, there.task_spec).items()}
    first, last = (next(name for name, array in made.items() if array.shape == shape) for shape in ((4, 16), (16, 2)))
    made[first][2:, 0] = 1.0  # the angle and its speed, where positive …
    made[first][2:, 1] = -1.0
    made[last][0, 1] = made[last][1, 0] = 1.0  # … push right, else left
    return made


def test_it_evaluates_when_steps_are_due_and_reports_what_it_keeps(there: Learner, run_dir: RunDir) -> None:
    heard(there)
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
    config = tiny(*CHANGES, "export.on_best=true", "export.keep=1")
    with learner(config) as there:
        heard(there)
        with started(there, run_dir, config) as evaluator:
            for evaluations in (1, 2):  # of the same weights
                at(there, 110 * evaluations)
                reported(there, evaluations, evaluator)
            until(lambda: versions(run_dir.exports) == [1], "the first version")
            there.publish(5, flattering(there))
            due = itertools.count(330, 100)

            def is_better() -> bool:
                at(there, next(due))
                return there.service.evaluated.best_return == 20

            until(is_better, "better weights")
            until(lambda: versions(run_dir.exports) == [2], "the second version")
    policy = load_policy(run_dir.exports)
    assert policy.card["evaluation"]["mean_return"] == 20
    np.testing.assert_array_equal(policy(np.array([[0, 0, 1, 0], [0, 0, -1, 0]], np.float32)), [1, 0])


def test_the_time_of_training_is_the_learners(there: Learner, run_dir: RunDir) -> None:
    heard(there)
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
    assert 1234.5 <= lines(run_dir.evaluations_file)[0]["seconds"] < 1240


def test_a_tracker_from_outside_the_package_is_told_of_every_evaluation(
    there: Learner, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[float, int]] = []

    class Listening(Tracker):
        def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
            told.append((evaluation.scores.mean_return, evaluation.env_steps))

    monkeypatch.setitem(TRACKERS, "listening", lambda *_: Listening())
    heard(there)
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        at(there, 200)
        reported(there, 2, evaluator)
    assert told == [(each["mean_return"], each["env_steps"]) for each in lines(run_dir.evaluations_file)]


def test_another_evaluator_goes_on_where_the_first_one_was_lost(there: Learner, run_dir: RunDir) -> None:
    heard(there)
    there.publish(5, flattering(there))
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        there.publish(6, weights(there.config, there.task_spec))
        at(there, 200)
        assert reported(there, 2, evaluator).evaluations_without_best == 1
    run_dir.evaluations_file.open("a").write('{"env_steps": 250, "is_')  # half a line
    heard(there).clear()
    at(there, 250)
    with started(there, run_dir) as again:
        until(lambda: states(there) == ["ready for the next evaluation"], "waiting")
        until(lambda: there.service.evaluated.best_return == 20, "what it found on disk")
        assert (heard(there), there.service.evaluated.evaluations_without_best) == ([], 1)
        at(there, 300)
        report = reported(there, 1, again)
        assert report.evaluation is not None
        assert (report.evaluation.is_best, report.best_return, report.evaluations_without_best) == (False, 20, 2)
    assert len(lines_that_are_whole(run_dir)) == 3


def lines_that_are_whole(run_dir: RunDir) -> list[str]:
    return [line for line in run_dir.evaluations_file.read_text().splitlines() if line.endswith("}")]


def test_a_learner_that_starts_again_is_told_the_best_and_its_versions_are_new_ones(
    there: Learner, run_dir: RunDir
) -> None:
    heard(there)
    there.publish(5, flattering(there))
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        there.service.close()
        there.publish(5, weights(there.config, there.task_spec))  # the same number, other weights
        there.begin()
        at(there, 90)
        heard(there)
        until(lambda: there.service.evaluated.best_return == 20, "the best of before")
        at(there, 200)
        report = reported(there, 1, evaluator)
        assert report.evaluation is not None
        assert (report.evaluation.train_steps, report.evaluation.is_best) == (5, False)
        assert (report.best_return, report.evaluations_without_best) == (20, 1)


def test_what_is_found_while_the_learner_is_away_is_told_to_the_next(there: Learner, run_dir: RunDir) -> None:
    heard(there)
    there.publish(5, flattering(there))
    with started(there, run_dir) as evaluator:
        until(lambda: states(there) == ["ready for the next evaluation"], "waiting")
        at(there, 100)
        reported(there, 1, evaluator)
        there.service.close()
        there.begin()
        until(lambda: there.service.evaluated.best_return == 20, "the report")


def test_its_last_say_is_of_the_newest_weights_and_of_the_best_on_fresh_episodes(
    there: Learner, run_dir: RunDir
) -> None:
    heard(there)
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        there.publish(9, flattering(there))
        there.service.phase = Phase.FINISHING
        until(lambda: there.service.evaluated.is_done, "the last say")
        last = there.service.evaluated
        assert last.evaluation is not None and last.final is not None
        assert (last.evaluation.train_steps, last.evaluation.is_best) == (9, True)
        assert (last.final.episodes, last.final.mean_return) == (4, 20)
        there.service.phase = Phase.OVER
        evaluator.ended()
        assert evaluator.is_over is True


def test_the_last_say_is_said_again_to_a_learner_that_was_lost_before_it_kept_it(
    there: Learner, run_dir: RunDir
) -> None:
    with started(there, run_dir) as evaluator:
        there.service.phase = Phase.FINISHING
        until(lambda: there.service.evaluated.is_done, "the last say")
        final = there.service.evaluated.final
        there.service.close()
        there.begin().phase = Phase.FINISHING
        until(lambda: there.service.evaluated.is_done, "the last say again")
        assert there.service.evaluated.final == final
        assert evaluator.ends_well() and evaluator.is_over is False


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
        with pytest.raises(RunDirError, match=r"file/run can't be made or written: Not a directory"):
            evaluator.ended()
        assert evaluator.said == []


def test_an_evaluator_that_hangs_ends_by_itself_so_that_nobody_waits_for_it(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []
    monkeypatch.setattr(stall_detector, "_end", ends.append)
    released = threading.Event()
    call = Policy.__call__

    def hangs(self: Policy, *arguments: Any) -> Any:
        released.wait()
        return call(self, *arguments)

    monkeypatch.setattr(Policy, "__call__", hangs)
    hasty = msgspec.structs.replace(CONFIG, health=Health(beat_seconds=0.05, stuck_after_seconds=1.0))
    with learner(hasty) as there:
        at(there, 100)
        with started(there, run_dir, hasty) as evaluator:
            until(lambda: ends or evaluator.error, "its end")
            released.set()
    assert ends[0].startswith("evaluator 0 has made no progress for 1 s (evaluating)")


def test_a_task_that_is_another_here_is_refused(there: Learner, run_dir: RunDir) -> None:
    there.service.task_spec = msgspec.structs.replace(there.task_spec, num_actions=(3,))
    with started(there, run_dir) as evaluator, pytest.raises(TaskError, match="num_actions: "):
        evaluator.ended()
