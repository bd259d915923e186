"""What the periodic work of a run writes: a line of curves when something has changed, and no other."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.tiny_runs import tiny, tiny_pqn
from tfdqn.errors import RunDirError
from tfdqn.storage.json_lines import append_line, read_lines
from tfdqn.system import interval
from tfdqn.training import monitor as module
from tfdqn.training.monitor import TrainingMonitor


class AlwaysDue:
    """Stands in for an interval that has always passed."""

    def __init__(self, seconds: float):
        pass

    def is_due(self) -> bool:
        return True

    def done(self, at_least: float = 0.0) -> None:
        pass


def session() -> Any:
    return SimpleNamespace(
        config=tiny(),
        run_dir=SimpleNamespace(logs="logs", check_claim=lambda: None),
        counters=SimpleNamespace(seconds=0.0),
        learner=SimpleNamespace(metrics={"learning/loss": 1.0}, train_steps=5, take_staleness=lambda: None, dropped=0),
        parts=SimpleNamespace(
            actors=SimpleNamespace(recent_return=20.0, recent_length=20.0, weights_version=5),
            evaluations=SimpleNamespace(best_return=None),
            replay=SimpleNamespace(size=lambda: 100, min_size=101),
            ratio=SimpleNamespace(transitions=100),
        ),
        env_steps=100,
        env_steps_before=-1,
        first_call_seconds=None,
        must_be_saved=False,
        chief=SimpleNamespace(check=lambda: None),
        save=lambda seconds: None,
    )


def test_while_nothing_moves_one_line_says_so_and_the_next_comes_when_something_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "IntervalTrigger", AlwaysDue)
    written: list[tuple[int, float]] = []
    tracker: Any = SimpleNamespace(
        scalars=lambda values, at: written.append((at.env_steps, values["acting/env_steps_per_second"]))
    )
    run = session()
    monitor = TrainingMonitor(run, tracker, lambda progress: None, lambda: False, profile=False)

    def ticked(times: int) -> list[tuple[int, bool]]:
        """The steps of the lines that this many ticks write, and whether there was any speed."""
        written.clear()
        for _ in range(times):
            monitor.tick(nullcontext())
        return [(env_steps, speed > 0) for env_steps, speed in written]

    assert ticked(1) == [(100, False)]
    run.env_steps = 164
    assert ticked(5) == [(164, True), (164, False)]  # a replay server is away
    assert ticked(3) == []
    run.parts.actors.recent_return = 30.0
    assert ticked(2) == [(164, False)]
    run.env_steps = 228
    assert ticked(1) == [(228, True)]


def test_the_last_point_is_logged_unless_one_of_its_step_is_there(tmp_path: Path) -> None:
    run, file = session(), tmp_path / "metrics.jsonl"
    run.run_dir.metrics_file = file
    file.touch()  # as `make_trackers` does
    tracker: Any = SimpleNamespace(scalars=lambda values, at: append_line(file, at._asdict()))

    def logged() -> list[int]:
        """The steps of all lines after the last point was logged by a new session."""
        TrainingMonitor(run, tracker, lambda progress: None, lambda: False, profile=False).log_last()
        return [each["env_steps"] for each in read_lines(file)]

    assert logged() == logged() == [100]
    run.env_steps, run.learner.train_steps = 164, 9
    assert logged() == [100, 164]
    run.learner.train_steps = 10
    assert logged() == [100, 164]
    run.env_steps, run.env_steps_before = 0, -1
    file.write_text("")
    assert logged() == []  # before the first step


@pytest.mark.parametrize(("config", "first"), [(tiny(), "filling replay"), (tiny_pqn(), "first rollout")])
def test_nothing_is_called_learning_before_the_first_updates(config: Any, first: str) -> None:
    run = session()
    run.config, run.learner.metrics = config, None
    run.parts.ratio.updates_owed = lambda: 3  # a checkpoint is saved first
    monitor = TrainingMonitor(run, SimpleNamespace(), lambda progress: None, lambda: False, profile=False)
    phases = [monitor.progress().phase]
    run.first_call_seconds = 0.1
    phases.append(monitor.progress().phase)
    run.first_call_seconds, run.learner.metrics = None, {"learning/loss": 1.0}
    assert [*phases, monitor.progress().phase] == [first, module.FIRST_UPDATES, "learning"]


@pytest.mark.parametrize(
    ("config", "stored", "phase"),
    [(tiny(), 100, "filling replay"), (tiny(), 101, module.RESUMING), (tiny_pqn(), 0, "first rollout")],
)
def test_a_run_that_resumes_fills_replay_only_if_that_was_not_restored(config: Any, stored: int, phase: str) -> None:
    run = session()
    run.config, run.learner.metrics, run.env_steps_before, run.parts.replay.size = config, None, 100, lambda: stored
    monitor = TrainingMonitor(run, SimpleNamespace(), lambda progress: None, lambda: False, profile=False)
    run.parts.replay.size = lambda: 101  # as soon as it has been filled
    assert monitor.progress().phase == phase


def test_a_checkpoint_that_takes_long_is_followed_by_a_longer_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(seconds=100.0, monotonic=lambda: clock.seconds)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(interval, "time", clock)
    saved_at: list[float] = []

    def save(seconds: float) -> None:
        saved_at.append(clock.seconds)
        clock.seconds += 6.0

    run = session()
    run.config, run.save = tiny("checkpoint.interval_seconds=30", "checkpoint.max_time_share=0.1"), save
    tracker: Any = SimpleNamespace(scalars=lambda values, at: None)
    monitor = TrainingMonitor(run, tracker, lambda progress: None, lambda: False, profile=False)
    for _ in range(150):
        clock.seconds += 1.0
        monitor.tick(nullcontext())
    assert saved_at == [130.0, 130.0 + 60.0, 190.0 + 60.0]  # a tenth of the time


@pytest.mark.parametrize(
    ("error", "why"), [(RunDirError("no space"), "no space"), (RuntimeError("no\ndisplay"), "RuntimeError: no display")]
)
def test_a_video_that_fails_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, why: str
) -> None:
    def evaluate(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(module, "evaluate", evaluate)
    run, tracker = session(), SimpleNamespace(takes_videos=True)
    run.run_dir.path = Path("run")
    TrainingMonitor(run, tracker, lambda progress: None, lambda: False, profile=False).record_video("best")
    assert caplog.messages == [f"there is no video of the best policy: {why}"]
