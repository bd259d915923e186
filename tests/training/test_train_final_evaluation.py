"""The evaluations at a run's end: of the last weights there is one; a stopped final one is made by the next start."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.support.event_files import points
from tests.support.tiny_runs import latest, lines, tiny
from tfdqn.config import Config
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.learning.strategies.chief import Chief
from tfdqn.records import Evaluation, Progress
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.call import train
from tfdqn.training.local_parts import LocalParts
from tfdqn.training.session import Session
from tfdqn.training.train import train_claimed


def train_until(env_steps: int, config: Config, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains in one thread until a checkpoint, as follows every step, has at least so many environment steps."""
    save, saved = Session.save, [0]

    def remember(session: Session[LocalParts], seconds: float) -> None:
        save(session, seconds)
        saved.append(session.env_steps)

    often = msgspec.structs.replace(config.checkpoint, interval_seconds=1e-6, max_time_share=1.0)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "save", remember)
        config = msgspec.structs.replace(config, checkpoint=often)
        train(config, run, interrupted=lambda: saved[-1] >= env_steps)


def test_one_that_is_stopped_is_finished_by_the_next_start(tmp_path: Path) -> None:
    run, phases = tmp_path / "run", ["starting"]

    def remember(progress: Progress) -> None:
        phases.append(progress.phase)

    endless = train(
        tiny("evaluation.final_episodes=100000", "logging.tensorboard=true"),
        run,
        on_progress=remember,
        interrupted=lambda: phases[-1] == "final evaluation",
    )
    assert (endless.status, endless.reason, endless.final) == ("interrupted", "by its caller", None)
    assert not (run / "summary.json").exists()
    counted, found = latest(run).counters.evaluations_without_best, lines(run / "evaluations.jsonl")
    phases.clear()
    config = tiny("logging.tensorboard=true")
    finished = train(config, run, on_progress=remember, interrupted=lambda: phases[-1:] == ["drawing and exporting"])
    assert finished.status == "finished" and phases[-1] == "drawing and exporting"
    assert finished.final is not None and finished.final.episodes == 4
    card = json.loads((Path(finished.paths["exported policy"]) / "model_card.json").read_text())
    assert card["final_evaluation"] == msgspec.to_builtins(finished.final)
    assert lines(run / "evaluations.jsonl") == found
    assert latest(run).counters.evaluations_without_best == counted
    assert points(run / "logs" / "evaluator", "evaluation/return") == [each["env_steps"] for each in found]


def test_one_that_was_made_after_the_last_checkpoint_is_made_again_and_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, saved = tmp_path / "run", tmp_path / "saved"
    keys = ("replay.backend=in_graph", "learner.schedule=alternate", "logging.tensorboard=true")
    config = tiny(*keys, "optimizer.learning_rate=1e-12")
    train_until(1_200, config, run, monkeypatch)
    shutil.copytree(run / "checkpoints", saved)
    train(config, run)
    counted, found = latest(run).counters.evaluations_without_best, lines(run / "evaluations.jsonl")
    shutil.rmtree(run / "checkpoints")  # as if it had been killed after its last evaluation
    shutil.move(saved, run / "checkpoints")
    (run / "summary.json").unlink()
    train(config, run)
    again = lines(run / "evaluations.jsonl")
    assert [each["env_steps"] for each in again] == [each["env_steps"] for each in found]
    assert latest(run).counters.evaluations_without_best == counted
    assert points(run / "logs" / "evaluator", "evaluation/return") == [each["env_steps"] for each in found]


def test_one_of_a_job_that_was_stopped_after_it_is_not_made_again(tmp_path: Path) -> None:
    """Such a job's last checkpoint was saved before it, has nothing of the actors, and says not when one is due."""
    run, phases, config = tmp_path / "run", ["starting"], tiny("replay.backend=in_graph", "learner.schedule=alternate")
    train(config, run, on_progress=lambda at: phases.append(at.phase), interrupted=lambda: "final" in phases[-1])
    found, saved = lines(run / "evaluations.jsonl"), latest(run)
    counters = msgspec.structs.replace(saved.counters, next_evaluation_env_steps=0, evaluations_without_best=9)
    arrays = {"learner": saved.arrays("learner"), "actor": {}, "writer": {}, "replay": {}}
    CheckpointManager(run / "checkpoints").save(counters, arrays, lambda folder: None)
    assert train(config, run).status == "finished"
    assert lines(run / "evaluations.jsonl") == found and not list(run.glob("*.superseded.*"))
    assert latest(run).counters.evaluations_without_best == saved.counters.evaluations_without_best


def test_a_run_that_is_extended_is_evaluated_by_its_interval_and_at_its_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    keys = ("replay.backend=in_graph", "learner.schedule=alternate", "evaluation.interval_env_steps=500")
    train_until(1_100, tiny(*keys), run, monkeypatch)
    for end in (1_700, 2_100):
        train(tiny(*keys, f"stop.env_steps={end}"), run)
    found = [each["env_steps"] // 10 * 10 for each in lines(run / "evaluations.jsonl")]  # up to three late
    assert found == [500, 1_000, 1_500, 1_700, 2_000, 2_100]


@pytest.mark.parametrize("schedule", ["alternate", "overlap"])
def test_where_the_last_weights_are_due_by_the_interval_too_they_are_evaluated_once(
    schedule: str, tmp_path: Path
) -> None:
    keys = ("replay.backend=in_graph", f"learner.schedule={schedule}", "evaluation.interval_env_steps=400")
    summary = train(tiny(*keys), tmp_path / "run")
    *_, last = evaluations = lines(tmp_path / "run" / "evaluations.jsonl")
    assert (last["env_steps"], last["train_steps"]) == (summary.env_steps, summary.train_steps)
    assert [each["env_steps"] for each in evaluations if each["env_steps"] >= 1_200] == [summary.env_steps]


def test_to_evaluate_the_last_weights_is_progress_though_nothing_acts_or_learns_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take longer than `health.stuck_after_seconds`, after which a process that stalls is ended."""
    run, config = RunDir(tmp_path / "run"), tiny("replay.backend=in_graph", "learner.schedule=alternate")
    watchdog, evaluate, stuck = Watchdog("the run", config.health, print), LocalParts.evaluate, []

    def watched(parts: LocalParts, on_step: Callable[[], None] = lambda: None) -> Evaluation:
        stuck.clear()

        def step() -> None:
            on_step()
            watchdog.work.check()
            stuck.append(watchdog.work.stuck_seconds)

        return evaluate(parts, step)

    monkeypatch.setattr(LocalParts, "evaluate", watched)
    with run.claim(config):
        chief = Chief(config, ["CPU:0"], print)
        done = train_claimed(config, run, chief, watchdog, lambda progress: None, print, False, lambda: False)
    assert done.status == "finished" and len(stuck) > 2 and max(stuck) == 0


def test_a_return_that_the_last_evaluation_reaches_is_why_it_ended(tmp_path: Path) -> None:
    keys = ("replay.backend=in_graph", "evaluation.interval_env_steps=1_200", "stop.return_at_least=1.0")
    summary = train(tiny(*keys), tmp_path / "run")
    assert len(lines(tmp_path / "run" / "evaluations.jsonl")) == 1
    assert summary.reason.startswith("an evaluation reached a mean return of ")


def test_the_chief_of_a_cluster_says_that_the_run_has_finished_before_it_waits_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, said = tmp_path / "run", list[str]()
    keys = ("learner.batch_size=16", "stop.env_steps=300")
    train(tiny(*keys), run)
    jobs = {"worker": ["a:1", "b:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": {"type": "worker", "index": 0}}))

    def waits(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr("tfdqn.training.train.OtherProcesses", waits)
    with pytest.raises(InterruptedError):
        train(tiny(*keys, "learner.strategy=multi_worker"), run, say=said.append)
    reason = "the budget of 300 environment steps was reached"
    told = "the cluster's other processes are told so once all have met"
    assert said[-1] == f"{run} has finished already: {reason}; {told}"
