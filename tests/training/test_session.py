"""A session's parts, wired."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from msgspec.structs import replace

from tests.support.tiny_runs import latest, policy_weights, tiny
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.acting.actor import Actor
from tfdqn.acting.actors import Actors, make_actor
from tfdqn.config import Config
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.errors import CheckpointError
from tfdqn.evaluation.evaluator import scores
from tfdqn.learning.strategies.chief import Chief
from tfdqn.learning.train_step import TrainStep
from tfdqn.records import Evaluation
from tfdqn.storage.best_policy import save_best
from tfdqn.storage.checkpoints import BEGINS_ANEW, CheckpointManager
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.training import call
from tfdqn.training.local_parts import LocalParts, local_session
from tfdqn.training.session import Session


@contextmanager
def begun(
    run: RunDir, config: Config, say: Callable[[str], None] = print, work: StallDetector | None = None
) -> Iterator[Session[LocalParts]]:
    """A session of a claimed run."""
    with (
        closing(Chief(config, ["CPU:0"], print)) as chief,
        closing(local_session(config, run, chief, say, work=work)) as session,
    ):
        yield session


def test_the_age_of_the_weights_can_be_logged_before_the_first_step(tmp_path: Path) -> None:
    run, config = RunDir(tmp_path / "run"), tiny("replay.backend=in_graph")
    with run.claim(config), begun(run, config) as session:
        assert session.parts.actors.weights_version == 0


def test_a_schedule_that_the_run_cuts_short_is_doubted_at_its_start(tmp_path: Path) -> None:
    run, said = RunDir(tmp_path / "run"), list[str]()
    config = tiny("replay.backend=in_graph", "exploration.decay_env_steps=12_000")
    with run.claim(config), begun(run, config, said.append):
        doubt = "stop.env_steps = 1,200 ends the run after 10 % of exploration.decay_env_steps = 12,000"
        assert said == [f"warning: {doubt}"]


def test_progress_is_expected_but_for_the_first_call_of_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one compiles, for as long as it takes; to be asked for no updates is to go on, too."""
    run, config, work = RunDir(tmp_path / "run"), tiny("replay.backend=in_graph"), StallDetector()
    during_calls: list[bool] = []

    def is_expected() -> bool:
        work.check()
        time.sleep(0.01)
        work.check()
        return work.stuck_seconds > 0

    with run.claim(config), begun(run, config, print, work) as session:
        make_updates = session.learner.run

        def watched(owed: int) -> int:
            session.record_progress("updates")  # as another thread would
            during_calls.append(is_expected())
            return make_updates(owed)

        monkeypatch.setattr(session.learner, "run", watched)
        session.learn()
        assert session.learner.train_steps == 0 and is_expected()
        for calls in (1, 2):
            while not session.parts.ratio.may_learn():
                session.parts.act()
            session.learn()
            assert session.learner.train_steps == 5 * calls and is_expected()
        assert during_calls == [False, True]
        session.learn()
        work.check()
        assert session.learner.train_steps == 10 and work.stuck_seconds == 0


def test_progress_that_is_recorded_just_as_the_first_call_of_updates_begins_is_not_expected_during_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config, work = RunDir(tmp_path / "run"), tiny("replay.backend=in_graph"), StallDetector()
    is_recording, call_has_begun = threading.Event(), threading.Event()
    record, stuck_seconds = work.record_progress, list[float]()

    def record_slowly(part: str) -> None:
        if part == "actor 0":
            is_recording.set()
            call_has_begun.wait(0.5)
        record(part)

    def compile_slowly(owed: int) -> int:
        call_has_begun.set()
        recorder.join(PATIENCE_SECONDS)
        work.check()
        time.sleep(0.01)
        work.check()
        stuck_seconds.append(work.stuck_seconds)
        return 0

    monkeypatch.setattr(work, "record_progress", record_slowly)
    with run.claim(config), begun(run, config, print, work) as session:
        monkeypatch.setattr(session.learner, "run", compile_slowly)
        while not session.parts.ratio.may_learn():
            session.parts.act()
        recorder = threading.Thread(target=session.record_progress, args=["actor 0"])
        recorder.start()
        assert is_recording.wait(PATIENCE_SECONDS)
        session.learn()
    assert stuck_seconds == [0.0]


def test_a_checkpoint_that_is_not_this_runs_is_refused_before_any_of_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, moments, counters of updates, windows, statistics and what fills a block: checked whole, then taken."""
    config = tiny("replay.backend=in_graph", "stop.env_steps=130", "checkpoint.keep=100")
    call.train(config, tmp_path)
    saved, taken = latest(tmp_path), []
    whole = {name: dict(saved.arrays(name)) for name in ("learner", "actor", "writer", "replay")}
    monkeypatch.setattr(TrainStep, "load_state", lambda *_: taken.append("learner"))
    monkeypatch.setattr(Actors, "load_state", lambda *_: taken.append("actors"))
    for file, name, array, line in (
        ("learner", "target/q/bias", np.zeros(3, np.float32), r"target/q/bias is float32\[3\], not float32\[2\]"),
        ("learner", "optimizer/m/q/bias", None, r"optimizer/m/q/bias is absent, not float32\[2\]"),
        (
            "learner",
            "online/hidden_1/bias",
            np.zeros(2, np.float32),
            r"online/hidden_1/bias is float32\[2\], not absent",
        ),
        ("writer", "returns", np.zeros((1, 1)), r"returns is float64\[1, 1\], not float64\[1, 4\]"),
        ("actor", "statistics/running_return", np.zeros(1), r"running_return is float64\[1\], not float64\[4\]"),
        ("replay", "draws", None, r"draws is absent, not int64\[1\]"),
    ):
        arrays = {each: dict(content) for each, content in whole.items()}
        arrays[file].pop(name, None)
        if array is not None:
            arrays[file][name] = array
        CheckpointManager(tmp_path / "checkpoints", keep=100).save(
            saved.counters, arrays, lambda folder: shutil.copytree(saved.replay, folder, dirs_exist_ok=True)
        )
        with pytest.raises(CheckpointError, match=rf"checkpoints/0000\d\d/{file}\.npz: .*{line}"):
            call.train(tiny("replay.backend=in_graph", "checkpoint.keep=100"), tmp_path)
    assert taken == []


def test_updates_of_which_nothing_was_heard_are_in_the_checkpoint_and_no_longer_owed(tmp_path: Path) -> None:
    """As of a worker that is lost with the result of what it had done. Earlier versions counted them on resuming."""
    run, config = RunDir(tmp_path / "run"), tiny("replay.backend=in_graph")

    with run.claim(config):
        with begun(run, config) as session:
            while session.parts.ratio.updates_owed() < 7:
                session.parts.act()
            cast(Any, session.learner)._updater._train_step.train_steps.assign(4)
            session.save(1.0)
            assert (session.learner.train_steps, session.parts.ratio.updates_owed()) == (4, 3)
            saved = latest(run.path)
            assert saved.counters.train_steps == saved.arrays("learner")["train_steps"] == 4
            arrays = {name: saved.arrays(name) for name in ("learner", "actor", "writer", "replay")}
            CheckpointManager(run.checkpoints).save(
                replace(saved.counters, train_steps=1), arrays, session.parts.save_replay
            )
        with begun(run, config) as session:
            assert (session.learner.train_steps, session.parts.ratio.updates_owed()) == (4, 3)


@pytest.mark.parametrize("has_been_trained", [False, True])
def test_who_comes_back_before_the_first_checkpoint_begins_anew_and_says_so(
    tmp_path: Path, has_been_trained: bool
) -> None:
    run, config = RunDir(tmp_path / "run"), tiny("replay.backend=in_graph")
    with run.claim(config):
        if has_been_trained:
            run.metrics_file.touch()
        with begun(run, config) as session:
            assert session.resumed == (BEGINS_ANEW if has_been_trained else "")


def test_a_run_that_begins_anew_puts_the_best_policy_and_the_summary_of_the_start_before_aside(tmp_path: Path) -> None:
    config = tiny("stop.return_at_least=490", "export.on_best=true")
    run, said = RunDir(tmp_path / "run"), list[str]()
    call.train(config, run.path)
    lucky = Evaluation(env_steps=1, train_steps=2, scores=scores(np.full(4, 500.0), np.ones(4)), is_best=True)
    for number in (1, 2):
        save_best(run.best_weights, policy_weights(run.path, "best"), lucky)
        shutil.rmtree(run.checkpoints)
        summary = call.train(config, run.path, say=said.append)
        assert summary.best_return is not None and summary.best_return < 490 and summary.env_steps >= 1_200
        aside = run.best / f"superseded-{number}"
        assert sorted(each.name for each in aside.iterdir()) == ["evaluation.json", "summary.json", "weights.npz"]
        assert f"put aside: best/weights.npz and summary.json to best/superseded-{number}" in " ".join(said)
    assert "exported the best policy so far" in " ".join(said) and "with return 500.00" not in " ".join(said)


def test_what_the_network_would_misread_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.training.session.image_warning", lambda config, spec: f"{spec.id} has odd images")
    run, config, said = RunDir(tmp_path / "run"), tiny("replay.backend=in_graph"), list[str]()
    with run.claim(config), begun(run, config, said.append):
        assert said == ["warning: CartPole-v1 has odd images"]


def test_a_run_that_was_begun_with_images_as_they_are_goes_on_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before versions knew what images of floats are divided by."""
    acts_on: list[TaskSpec] = []

    def recorded(config: Config, task: BatchedTask, *parts: Any) -> Actor:
        acts_on.append(task.spec)
        return make_actor(config, task, *parts)

    monkeypatch.setattr("tfdqn.training.local_parts.make_actor", recorded)
    run = RunDir(tmp_path / "run")
    config = tiny(
        "replay.backend=in_graph",
        "task.id=tests.support.toy_environments:Catch-v0",
        "task.kwargs={pixels = true, dtype = 'float32'}",
    )

    def sees(high: tuple[float, ...]) -> None:
        with run.claim(config), begun(run, config) as session:
            assert session.parts.task_spec.observation["observation"].high == high
            assert acts_on[-1] == session.parts.task_spec

    sees((255.0,))
    run.metrics_file.write_text("{}\n")  # it has learned something
    spec = run.task_spec()
    as_it_was = replace(spec.observation["observation"], high=())
    run.task_file.write_bytes(replace(spec, observation={"observation": as_it_was}).to_json())
    sees(())
