"""What is not finite, and environments that fail: the run ends in a line, and what came before it is sound."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import PROGRAM, tfdqn, write_config
from tests.support.tiny_runs import latest, lines, tiny
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.errors import RESTART_STATUS, EnvironmentFailedError, NotFiniteError, NotFiniteTaskError
from tfdqn.launch.inspector import Inspector
from tfdqn.storage.checkpoints import Checkpoint
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import why_failed
from tfdqn.training.call import train
from tfdqn.training.session import Session

# It waits for its reason to be written down for as long as a busy machine takes.
PATIENT = f"from tfdqn.coordination import sudden_end\nsudden_end._TELL_SECONDS = {PATIENCE_SECONDS}\n{PROGRAM}"
COUNTER = "tests.support.toy_environments:Counter-v0"


@pytest.mark.parametrize("schedule", ["overlap", "alternate"])
def test_a_loss_that_is_not_finite_stops_the_run_with_its_step_and_never_enters_a_checkpoint(
    schedule, tmp_path, monkeypatch
):
    """In turn, a checkpoint follows every step; beside one another, updates wait for the first."""
    run, learn = tmp_path / "run", Session.learn

    def once_saved(session, timeout_seconds=0.0):
        if schedule == "alternate" or RunDir(run).has_checkpoint:
            learn(session, timeout_seconds)

    monkeypatch.setattr(Session, "learn", once_saved)
    overflows = ("optimizer.kind=sgd", "optimizer.learning_rate=1e9", "agent.gradient_clip_norm=0")
    often = ("checkpoint.interval_seconds=0.001", "checkpoint.max_time_share=1", "checkpoint.keep=100")
    with pytest.raises(
        NotFiniteError, match=r"(loss|gradient norm) is (nan|inf) at train step \d+: lower .*intact; .* fixed:"
    ):
        train(tiny(f"learner.schedule={schedule}", *overflows, *often), run)
    saved = [Checkpoint(path) for path in (run / "checkpoints").iterdir() if path.name.isdecimal()]
    assert saved
    for checkpoint in saved:
        for name, array in checkpoint.arrays("learner").items():
            assert np.isfinite(array).all(), (checkpoint.directory, name)


def test_where_nothing_was_saved_before_a_failure_it_is_said(tmp_path):
    run = tmp_path / "run"
    overflows = ("optimizer.kind=sgd", "optimizer.learning_rate=1e9", "agent.gradient_clip_norm=0")
    with pytest.raises(NotFiniteError, match=r"task's rewards; nothing was saved yet$"):
        train(tiny("replay.backend=in_graph", "learner.schedule=alternate", *overflows), run)
    assert not RunDir(run).has_checkpoint


def test_a_run_that_failed_at_its_first_step_takes_another_configuration(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(NotFiniteTaskError, match=r"step 1: reward is nan, .*; nothing was saved yet$"):
        breaks = "task.kwargs={nan='reward', nan_from=1}"
        train(tiny(f"task.id={COUNTER}", breaks, "logging.interval_seconds=0.001"), run)
    assert not RunDir(run).has_checkpoint
    assert "reward is nan" in why_failed(RunDir(run).end_file)
    assert lines(run / "metrics.jsonl") == []
    assert train(tiny(f"task.id={COUNTER}", "stop.env_steps=600"), run).env_steps == 600


def test_an_observation_that_is_nan_stops_the_run_and_never_enters_replay(tmp_path):
    config = tiny(
        "task.id=tests.support.toy_environments:Counter-v0", "task.kwargs.nan=observation", "task.kwargs.nan_from=2"
    )
    with pytest.raises(NotFiniteError, match=r"environment \d, step 2: observation\[0\] is nan"):
        train(config, tmp_path / "run")


@pytest.mark.parametrize("schedule", ["overlap", "alternate"])
def test_what_came_before_a_broken_contract_is_saved_and_goes_on_in_new_episodes(schedule, tmp_path):
    run = tmp_path / "run"
    breaks = (f"task.id={COUNTER}", "task.kwargs={nan='reward', nan_from=100, ends_at=0}")
    saved = []
    for _ in range(2):
        with pytest.raises(NotFiniteTaskError) as caught:
            train(tiny(*breaks, f"learner.schedule={schedule}", "evaluation.interval_env_steps=5000"), run)
        saved.append(latest(run).counters.env_steps)
        what = f"{COUNTER}, environment 0, step 100: reward is nan, which is not finite"
        assert str(caught.value) == f"{what}; saved at {saved[-1]:,} environment steps"
    assert 300 < saved[0] < 400 and 700 < saved[1] < 800


def failing(tmp_path: Path, **kwargs: object) -> tuple[str, ...]:
    """An environment that fails once."""
    kwargs |= {"once": str(tmp_path / "once")}
    inline = ", ".join(f"{name}={json.dumps(value)}" for name, value in kwargs.items())
    return (
        "task.id=tests.support.toy_environments:Fails-v0",
        f"task.kwargs={{{inline}}}",
        "learner.schedule=alternate",
    )


def test_what_came_before_an_environment_failed_is_saved_and_goes_on(tmp_path):
    run, config = tmp_path / "run", tiny(*failing(tmp_path, at=200))
    with pytest.raises(EnvironmentFailedError) as caught:
        train(config, run)
    saved = latest(run).counters
    assert 700 < saved.env_steps < 800 and saved.train_steps > 100
    line = "Fails-v0, environment 0, step [0-9]+: .*: RuntimeError: the simulator is gone; saved at {:,} environment"
    assert re.search(line.format(saved.env_steps), str(caught.value))
    assert f"its traceback is in {run / 'native.log'}" in str(caught.value)
    assert "in _fail\n" in (run / "native.log").read_text()
    report = Inspector(str(run)).report()
    assert (report.status, report.problem.partition("; to resume:")[0]) == ("failed", f"failed: {caught.value}")
    said: list[str] = []
    assert train(config, run, say=said.append).status == "finished"
    assert f"resumed at {saved.env_steps:,} environment steps and {saved.train_steps:,} updates" in said[1]
    assert Inspector(str(run)).report().status == "finished"


def test_an_evaluation_whose_environment_fails_leaves_what_was_learned(tmp_path):
    """The four that act never come to their thousandth step, those that are evaluated do."""
    config = tiny(*failing(tmp_path, at=900, ends_at=1_000), "evaluation.episodes=1", "learner.schedule=overlap")
    with pytest.raises(EnvironmentFailedError, match=r"environment 0, step 900: .*; saved at"):
        train(config, tmp_path / "run")
    assert latest(tmp_path / "run").counters.train_steps > 0
    assert not (tmp_path / "run" / "best").exists()


def test_environments_that_are_made_anew_are_counted_over_all_of_a_run(tmp_path):
    run = tmp_path / "run"
    restarts = ("task.restarts=1", "logging.interval_seconds=0.01")
    said: list[str] = []
    first = train(tiny(*failing(tmp_path, at=100), *restarts, "stop.env_steps=800"), run, say=said.append)
    assert first.environment_restarts == 1 and lines(run / "metrics.jsonl")[-1]["environment_restarts"] == 1
    assert sum("the environment is restarted (1 of task.restarts = 1)" in line for line in said) == 1
    assert "in _fail\n" in (run / "native.log").read_text()
    (tmp_path / "once").unlink()
    again = train(tiny(*failing(tmp_path, at=100), *restarts), run)
    assert again.environment_restarts == 2
    # A row that only carries a reset is no step: all that was taken was written, but for broken windows (n = 1: none).
    assert latest(run).counters.transitions == latest(run).counters.env_steps == again.env_steps


def test_who_goes_on_is_told_of_a_process_that_ended_without_saving(tmp_path):
    run, said = tmp_path / "run", list[str]()
    script = (
        "import os, sys\n"
        "from tfdqn.config import Config\n"
        "from tfdqn.storage.run_directory import RunDir\n"
        "with RunDir(sys.argv[1]).claim(Config()):\n"
        "    os._exit(3)\n"  # as an environment may
    )
    with subprocess.Popen([sys.executable, "-c", script, run]) as ended:
        pass
    config = tiny("task.id=tests.support.toy_environments:Broken-v0")
    for left in True, False:
        with pytest.raises(EnvironmentFailedError, match="the simulator did not start"):
            train(config, run, say=said.append)
        named = (
            f"process {ended.pid}, which trained here before, ended without saving: it was killed, or its environment"
        )
        assert any(line.startswith(named) for line in said) == left
        said.clear()


def test_why_a_run_that_made_no_progress_has_ended_is_kept(tmp_path):
    stalls = ("task.id=tests.support.toy_environments:Stalls-v0", "task.kwargs={at=300, once='has stalled'}")
    config = write_config(tmp_path, *stalls, "health.stuck_after_seconds=2", "learner.schedule=alternate")
    with tfdqn(tmp_path, "train", config, "--run-dir", "run", program=PATIENT, is_forked=True) as process:
        assert process.ended() == RESTART_STATUS
        out, err = process.out, process.err
    place = r"\(learning, in Stalls.step at \S+/odd_environments.py:\d+\)"
    stall = (
        rf"tfdqn: the run has made no progress for \d+ s {place}: ended; the same command or call goes on "
        "with it; where its threads were"
    )
    assert re.search(rf"^{stall} is in run/native.log\n\Z", err, re.MULTILINE) and "Thread 0x" not in err
    assert re.search(r"\nTo (resume|begin again):\n.*train .*\n\Z", out)
    assert re.search(r"(Current thread|Thread) 0x", (tmp_path / "run" / "native.log").read_text())
    report = Inspector(str(tmp_path / "run")).report()
    assert re.match(r"not finished: the run has made no progress for \d+ s \(", report.problem)
    assert report.status == "stopped"


def test_an_environment_that_hangs_before_anything_is_learned_ends_the_run(tmp_path):
    stalls = ("task.id=tests.support.toy_environments:Stalls-v0", "task.kwargs={at=20, once='has stalled'}")
    config = write_config(tmp_path, *stalls, "health.stuck_after_seconds=2", "replay.min_size=200")
    with tfdqn(tmp_path, "train", config, "--run-dir", "run", program=PATIENT, is_forked=True) as process:
        assert process.ended() == RESTART_STATUS
        assert "(filling replay, in Stalls.step at " in process.err and "\nTo begin again:\n" in process.out


def test_an_environment_that_is_never_made_ends_the_run(tmp_path):
    never = ("task.id=tests.support.toy_environments:NeverMade-v0", "task.kwargs={hangs='always'}")
    config = write_config(tmp_path, *never, "health.stuck_after_seconds=2")
    with tfdqn(tmp_path, "train", config, "--run-dir", "run", program=PATIENT, is_forked=True) as process:
        assert process.ended() == RESTART_STATUS
        assert re.search(r"no progress for \d+ s \(training, in NeverMade.__init__ at \S+:\d+\): ended", process.err)


def test_a_run_without_a_finished_episode_has_no_nan_in_any_file(tmp_path):
    """Its rewards are of every kind of number, one after the other."""
    run = tmp_path / "run"
    endless = ("task.id=tests.support.toy_environments:OddRewards-v0", "evaluation.max_episode_steps=21")
    summary = train(tiny(*endless, "logging.interval_seconds=0.01"), run)
    assert summary.episodes == 0 and summary.final is not None
    assert (summary.final.mean_return, summary.final.mean_length) == (21, 21)  # cut, and every reward is 1
    for file in run.rglob("*.json*"):
        assert not re.search(r"\b(NaN|Infinity)\b", file.read_text()), file
    for file in ("metrics.jsonl", "evaluations.jsonl", "best/evaluation.json"):
        assert "null" not in (run / file).read_text(), file
    assert (run / "learning_curve.png").exists()
