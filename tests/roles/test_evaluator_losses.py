"""The evaluator's process, and the learner's, are lost and come back: what was found is kept, and told again."""

import shutil
import threading
from typing import Any

import msgspec
import pytest

from tests.support.evaluator_jobs import CHANGES, CONFIG, at, flattering, heard, reported, started, states
from tests.support.event_files import points
from tests.support.threaded_jobs import Learner, learner, weights
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.acting.policy import Policy
from tfdqn.config import Health
from tfdqn.coordination import stall_detector
from tfdqn.coordination.messages import Phase
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.errors import RunDirError
from tfdqn.exporting.versions import versions
from tfdqn.storage.best_policy import load_best, put_results_aside
from tfdqn.storage.run_directory import EVALUATOR_LOGS, RunDir
from tfdqn.storage.run_records import read_evaluations


def test_another_evaluator_goes_on_where_the_first_one_was_lost(there: Learner, run_dir: RunDir) -> None:
    there.publish(5, flattering(there))
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        there.publish(6, weights(there.config, there.task_spec))
        at(there, 200)
        assert reported(there, 2, evaluator).evaluations_without_best == 1
    run_dir.evaluations_file.open("a").write('{"env_steps": 250, "is_')  # half a line
    del there.service.reports[1:]
    at(there, 250)
    with started(there, run_dir) as again:
        until(lambda: states(there) == ["ready for the next evaluation"], "waiting")
        until(lambda: there.service.reports[-1].best_return == 20, "what it found on disk")
        assert (heard(there), there.service.reports[-1].evaluations_without_best) == ([], 1)
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
    there.publish(5, flattering(there))
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        there.service.close()
        there.publish(5, weights(there.config, there.task_spec))  # the same number, other weights
        there.begin()
        at(there, 90)
        until(lambda: there.service.reports[-1].best_return == 20, "the best of before")
        at(there, 200)
        report = reported(there, 1, evaluator)
        assert report.evaluation is not None
        assert (report.evaluation.train_steps, report.evaluation.is_best) == (5, False)
        assert (report.best_return, report.evaluations_without_best) == (20, 1)


def start_over(there: Learner) -> None:
    """Begins a life of the learner that has no checkpoint, and has put aside what it found."""
    there.service.close()
    there.board = WeightsBoard()
    service = there.begin()
    service.start = service.life


def test_another_evaluator_takes_nothing_of_a_start_before_the_learner_began_anew(run_dir: RunDir) -> None:
    config = tiny(*CHANGES, "export.on_best=true")
    with learner(config) as there:
        there.publish(5, flattering(there))
        at(there, 100)
        with started(there, run_dir, config) as evaluator:
            reported(there, 1, evaluator)
        assert versions(run_dir.exports) == [1]
        shutil.rmtree(run_dir.exports)
        start_over(there)
        with started(there, run_dir, config) as evaluator:
            until(lambda: states(there) == ["waiting for the first weights"], "waiting")
            put_results_aside(run_dir)  # as the learner does
            at(there, 150)
            there.publish(6, weights(there.config, there.task_spec))
            report = reported(there, 1, evaluator)
        assert report.evaluation is not None and report.evaluation.is_best and report.best_return != 20
        assert {each.best_return for each in there.service.reports} == {None, report.best_return}
        assert [line.env_steps for line in read_evaluations(run_dir.evaluations_file)] == [150]
        assert load_best(run_dir.best_weights, there.board.get().weights)[1] == report.evaluation
        assert not any("with return 20.00" in line for line in evaluator.said)


def test_an_evaluator_forgets_what_it_found_before_the_learner_began_anew(there: Learner, run_dir: RunDir) -> None:
    there.publish(5, flattering(there))
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        start_over(there)  # what it found is still there, as if found after the learner had put the others aside
        at(there, 150)
        there.publish(6, weights(there.config, there.task_spec))
        report = reported(there, 1, evaluator)
    assert report.evaluation is not None and report.evaluation.is_best and report.best_return != 20
    assert {each.best_return for each in there.service.reports} == {None, report.best_return}
    assert [line.env_steps for line in read_evaluations(run_dir.evaluations_file)] == [150]
    assert sorted(each.name for each in (run_dir.best / "superseded-1").iterdir()) == ["evaluation.json", "weights.npz"]
    assert any("put aside: best/weights.npz to best/superseded-1" in line for line in evaluator.said)


def test_an_evaluation_of_a_start_before_is_put_aside_if_the_learner_has_begun_anew_and_resumed_meanwhile(
    there: Learner, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing, released = held_policy(monkeypatch)
    there.publish(5, flattering(there))
    at(there, 100)
    with started(there, run_dir) as evaluator:
        until(lambda: playing.is_set() or evaluator.error, "an evaluation")
        start_over(there)
        start = there.service.start
        there.service.close()
        there.publish(6, weights(there.config, there.task_spec))
        there.begin().start = start  # from the checkpoint of the life in between
        released.set()
        until(lambda: (run_dir.best / "superseded-1").exists() or evaluator.error, "put aside")
        at(there, 150)
        # The evaluation that was under way is told as well, to the life that it was for.
        until(lambda: (heard(there) and heard(there)[-1].joined == there.service.life) or evaluator.error, "the next")
        report = heard(there)[-1]
    assert report.evaluation is not None and report.evaluation.is_best and report.best_return != 20
    assert [line.env_steps for line in read_evaluations(run_dir.evaluations_file)] == [150]


def held_policy(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Two events: the first is set when a policy acts, which waits for the second."""
    playing, released, call = threading.Event(), threading.Event(), Policy.__call__

    def waits(self: Policy, *arguments: Any) -> Any:
        playing.set()
        released.wait()  # no limit: `until` has one
        return call(self, *arguments)

    monkeypatch.setattr(Policy, "__call__", waits)
    return playing, released


def test_evaluations_of_steps_that_a_learner_takes_again_are_put_aside_and_the_next_is_due_by_its_own(
    run_dir: RunDir,
) -> None:
    with (
        learner(tiny(*CHANGES, "logging.tensorboard=true")) as there,
        started(there, run_dir, there.config) as evaluator,
    ):
        there.publish(5, flattering(there))
        at(there, 100)
        reported(there, 1, evaluator)
        at(there, 1_000)
        reported(there, 2, evaluator)
        there.service.close()
        there.publish(5, weights(there.config, there.task_spec))
        there.begin()
        at(there, 120)
        aside = run_dir.evaluations_file.with_name("evaluations.superseded.jsonl")
        until(aside.exists, "put aside")
        assert [line.env_steps for line in read_evaluations(aside)] == [1_000]
        until(lambda: states(there) == ["ready for the next evaluation"], "waiting")
        at(there, 200)
        reported(there, 1, evaluator)
    assert [line.env_steps for line in read_evaluations(run_dir.evaluations_file)] == [100, 200]
    assert points(run_dir.logs / EVALUATOR_LOGS, "evaluation/return") == [100, 200]


def test_what_a_learner_has_lost_is_known_by_the_weights_that_it_has_now(run_dir: RunDir) -> None:
    """Those of its life before are held, until the next are fetched in an hour."""
    with learner(tiny(*CHANGES, "acting.fetch_interval_seconds=3600.0")) as there:
        there.publish(5, flattering(there))
        at(there, 100)
        with started(there, run_dir, there.config) as evaluator:
            reported(there, 1, evaluator)
            there.service.close()
            there.publish(3, weights(there.config, there.task_spec))
            there.begin()
            at(there, 100)
            report = reported(there, 1, evaluator)
            assert report.evaluation is not None and report.evaluation.train_steps == 3
    aside = run_dir.evaluations_file.with_name("evaluations.superseded.jsonl")
    assert [line.train_steps for line in read_evaluations(aside)] == [5]


def test_a_run_directory_that_is_moved_away_ends_it_in_one_line_and_is_not_made_again(
    there: Learner, run_dir: RunDir
) -> None:
    run_dir.config_file.touch()
    at(there, 100)
    with started(there, run_dir) as evaluator:
        reported(there, 1, evaluator)
        run_dir.path.rename(run_dir.path.with_name("elsewhere"))
        there.publish(5, flattering(there))
        at(there, 200)
        until(lambda: evaluator.error, "the end")
    assert isinstance(evaluator.error, RunDirError)
    assert str(evaluator.error) == f"{run_dir.path} is gone: it was moved or removed while this process used it"
    assert not run_dir.path.exists()


def test_what_is_found_while_the_learner_is_away_is_told_to_the_next(there: Learner, run_dir: RunDir) -> None:
    there.publish(5, flattering(there))
    with started(there, run_dir) as evaluator:
        until(lambda: states(there) == ["ready for the next evaluation"], "waiting")
        at(there, 100)
        reported(there, 1, evaluator)
        there.service.close()
        there.begin()
        until(lambda: there.service.reports[-1].best_return == 20, "the report")


def test_while_a_learner_that_starts_again_has_no_weights_yet_nothing_is_said_to_be_evaluated(
    there: Learner, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing, released = held_policy(monkeypatch)
    at(there, 100)
    with started(there, run_dir) as evaluator:
        until(lambda: playing.is_set() or evaluator.error, "an evaluation")
        there.service.close()
        there.board = WeightsBoard()
        there.begin()
        released.set()
        until(lambda: states(there) == ["waiting for the learner's weights"], "waiting")
        there.publish(1, weights(there.config, there.task_spec))
        until(lambda: states(there) != ["waiting for the learner's weights"], "going on")


def test_the_last_say_is_said_again_to_a_learner_that_was_lost_before_it_kept_it(
    there: Learner, run_dir: RunDir
) -> None:
    with started(there, run_dir) as evaluator:
        there.service.phase = Phase.FINISHING
        until(lambda: there.service.reports[-1].is_done, "the last say")
        final = there.service.reports[-1].final
        there.service.close()
        there.begin().phase = Phase.FINISHING
        until(lambda: there.service.reports[-1].is_done, "the last say again")
        assert there.service.reports[-1].final == final
        assert len(lines_that_are_whole(run_dir)) == 1  # the last weights were evaluated before
        assert evaluator.ends_well() and evaluator.is_over is False


def test_the_last_weights_are_not_evaluated_again_for_a_learner_that_resumes_at_the_end(
    there: Learner, run_dir: RunDir
) -> None:
    """Its checkpoint lacks the steps that actors took after it, and after which these weights were evaluated."""
    there.publish(5, flattering(there))
    at(there, 1_216)
    with started(there, run_dir):
        there.service.phase = Phase.FINISHING
        until(lambda: there.service.reports[-1].is_done, "the last say")
        there.service.close()
        there.begin()
        at(there, 1_200)
        until(lambda: there.service.reports[-1].best_return == 20, "its report")
        there.service.phase = Phase.FINISHING
        until(lambda: there.service.reports[-1].is_done, "the last say again")
    assert [line.env_steps for line in read_evaluations(run_dir.evaluations_file)] == [1_216]
    assert not list(run_dir.path.glob("*.superseded.*"))


def test_the_last_weights_are_evaluated_again_if_the_best_policy_is_gone(there: Learner, run_dir: RunDir) -> None:
    there.service.phase = Phase.FINISHING
    for count in (1, 2):
        with started(there, run_dir) as evaluator:
            until(lambda: there.service.reports[-1].is_done or evaluator.error, "the last say")
            assert len(lines_that_are_whole(run_dir)) == count
            there.service.close()
            assert evaluator.ends_well()
        run_dir.best_weights.unlink()
        there.begin().phase = Phase.FINISHING


def test_an_evaluator_that_hangs_ends_by_itself_so_that_nobody_waits_for_it(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []
    monkeypatch.setattr(stall_detector, "end_stuck", lambda line, _: ends.append(line))
    monkeypatch.setattr(stall_detector, "_MOST_SECONDS_BETWEEN_CHECKS", 0.25)  # a pause of the machine is no hang
    _, released = held_policy(monkeypatch)
    hasty = msgspec.structs.replace(CONFIG, health=Health(beat_seconds=0.05, stuck_after_seconds=1.0))
    with learner(hasty) as there:
        at(there, 100)
        with started(there, run_dir, hasty) as evaluator:
            until(lambda: ends or evaluator.error, "its end")
            released.set()
    assert ends[0].startswith("evaluator 0 has made no progress for 1 s (evaluating, in ")
