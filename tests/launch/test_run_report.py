"""What a run's directory says of how far training was at its last report."""

import json
import os
import time

import numpy as np
import pytest

from tests.support.run_files import finish, scores
from tests.support.tiny_runs import lines, tiny
from tfdqn.cli import main
from tfdqn.coordination.heartbeat_files import STARTING, write_heartbeat
from tfdqn.launch.local_job import program_for
from tfdqn.launch.run_report import run_report
from tfdqn.records import Evaluation
from tfdqn.storage.best_policy import save_best
from tfdqn.storage.failures import keep_failure
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.locks import locked
from tfdqn.storage.run_directory import RunDir
from tfdqn.tracking.factory import JsonLines
from tfdqn.tracking.tracker import Point
from tfdqn.tuning.observed_run import progress_of

FIRST = {"env_steps": 200, "train_steps": 20, "env_steps_per_second": 90.0, "episode_return": None}
LAST = {"env_steps": 400, "train_steps": 70, "env_steps_per_second": 1_234.5, "episode_return": 23.456}


def reports(run: RunDir, *lines: dict[str, object], seconds_ago: float = 5.0) -> None:
    """Leaves the reports, the next of which is being written, as of some time ago."""
    run.metrics_file.write_text("".join(f"{json.dumps(each)}\n" for each in lines) + '{"env_st')
    then = time.time() - seconds_ago
    os.utime(run.metrics_file, (then, then))


def rows(capsys: pytest.CaptureFixture[str], run: RunDir) -> dict[str, str]:
    assert main.main(["inspect", str(run.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {line[:11].strip(): line[11:].strip() for line in lines if line.startswith("last report")}


def test_progress_is_that_of_the_last_whole_report(run: RunDir) -> None:
    assert run_report(run).progress is None
    reports(run, FIRST, LAST, seconds_ago=3_600.0)
    progress = run_report(run).progress
    assert progress is not None
    assert 3_600 <= progress.seconds_ago < 7_200
    assert {key: getattr(progress, key) for key in LAST} == LAST


def test_inspect_shows_it_while_nobody_else_can_be_asked(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert rows(capsys, run) == {}
    reports(run, FIRST)
    (before,) = rows(capsys, run).values()
    reports(run, FIRST, LAST)
    with run.claim_alone(run.config()):
        (training,) = rows(capsys, run).values()
    assert before.startswith("200 of 1,200 environment steps, 20 updates, 0:0")
    assert training.startswith("400 of 1,200 environment steps, 70 updates, 1,234 steps/s, return 23.46, 0:0")


def test_of_a_copy_the_age_is_that_of_the_report(run: RunDir) -> None:
    before = int(time.time())
    JsonLines(run).scalars({"acting/episode_return": 2.0}, Point(200, 20, 1.5))
    [line] = lines(run.metrics_file)
    assert before <= line["unix_seconds"] <= time.time()
    reports(run, {**line, "unix_seconds": before - 3_600}, seconds_ago=5.0)
    progress = run_report(run).progress
    assert progress is not None and 3_600 <= progress.seconds_ago < 7_200


def test_the_best_is_what_best_keeps_though_a_resumed_run_has_put_its_evaluation_aside(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    def evaluations() -> str:
        assert main.main(["inspect", str(run.path)]) == 0
        return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("evaluations"))

    best = Evaluation(env_steps=1_000, train_steps=200, scores=scores(20.0), is_best=True)
    save_best(run.best_weights, {"hidden_0/kernel": np.zeros((3, 2), np.float32)}, best)
    assert evaluations().split(maxsplit=1)[1] == "0, the best 20.00"
    append_line(run.evaluations_file, {"env_steps": 500, "mean_return": 9.5})
    assert evaluations().endswith("1: the last 9.50 at 500 environment steps, the best 20.00")
    assert progress_of(run).best_return == 20.0
    run.best_weights.write_bytes(b"damaged")
    assert evaluations().endswith("the best 9.50")


def test_a_run_that_has_finished_has_no_progress_but_its_results(run: RunDir) -> None:
    reports(run, FIRST, LAST)
    finish(run.path, 20.0, env_steps=1_200)
    assert run_report(run).progress is None


def test_a_program_is_told_in_one_word_how_a_run_stands(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    def status() -> str:
        assert main.main(["inspect", str(run.path), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["status"]
        assert isinstance(found, str)
        return found

    assert status() == "stopped"
    with run.claim_alone(run.config()):
        assert status() == "training"
    with run.claim(run.config()):  # as the learner of a job whose cluster file lies elsewhere
        assert status() == "training"
    keep_failure(run, "the pole is broken")
    assert status() == "failed"
    finish(run.path, 20.0, env_steps=1_200)
    assert status() == "finished"
    run.summary_file.unlink()
    run.cluster_file.write_bytes(program_for(tiny(), run, has_evaluator=False).topology.to_json())
    assert status() == "failed"
    run.end_file.unlink()
    assert status() == "stopped"
    with locked(run.supervisor_lock_file, run.path):
        assert status() == "silent"
        write_heartbeat(run.heartbeats / "learner-0.json", "learner 0", STARTING, 0.0)
        assert status() == "starting"
