"""A call that would take minutes: what is said before, what is saved before, and what is shown meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_runs import latest, tiny
from tfdqn.learning.learner import Learner
from tfdqn.records import Progress
from tfdqn.training import prerequisites
from tfdqn.training.call import train
from tfdqn.training.prerequisites import long_call_warning

SEQUENCES = (
    *("network.memory=lstm", "replay.item=sequence", "replay.sequence_length=80", "replay.burn_in=40"),
    *("learner.updates_per_call=50", "learner.batch_size=128", "replay.capacity=10000"),
    *("replay.min_size=100", "stop.env_steps=10000"),
)


def test_calls_of_many_steps_through_many_weights_are_doubted_and_others_are_not() -> None:
    # 50 x 128 x (40 + 80 + 1) x 1,000,000 = 7.7e11 is above 1e11; a twentieth of the updates, or no sequences, are not.
    weights = {"kernel": np.zeros((1_000, 1_000), np.float32)}
    assert long_call_warning(tiny(*SEQUENCES), weights) == (
        "one call makes 50 updates of 128 sequences of 121 steps each: without a GPU that may take minutes, in which "
        "nothing can be saved; lower learner.batch_size, learner.updates_per_call or replay.sequence_length"
    )
    assert " 128 sequences of 125 steps each: " in long_call_warning(tiny(*SEQUENCES, "agent.n_step_end=5"), weights)
    assert long_call_warning(tiny(*SEQUENCES, "learner.updates_per_call=2"), weights) == ""
    plain = tiny("learner.updates_per_call=50", "learner.batch_size=128", "stop.env_steps=10000")
    assert long_call_warning(plain, weights) == ""
    assert "50 updates of 128 examples each: " in long_call_warning(
        plain, {"kernel": np.zeros((4_000, 4_000), np.int8)}
    )


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Progress]]:
    """Every progress, one for each time that it is asked for."""
    monkeypatch.setattr("tfdqn.training.monitor._PROGRESS_SECONDS", 0.0)
    yield []


@pytest.mark.parametrize("schedule", ["overlap", "alternate"])
def test_what_is_gathered_is_saved_before_a_long_first_call_and_the_call_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[Progress], schedule: str
) -> None:
    monkeypatch.setattr(prerequisites, "_MANY", 1.0)
    monkeypatch.setattr("tfdqn.training.session.learns_on_gpus", lambda config: False)
    run, found, update = tmp_path / "run", [], Learner.run

    def watched(learner: Learner, most: int) -> int:
        if not found:
            found.append(latest(run).counters)
        return update(learner, most)

    monkeypatch.setattr(Learner, "run", watched)
    said: list[str] = []
    config = tiny("replay.backend=in_graph", f"learner.schedule={schedule}", "checkpoint.interval_seconds=1000")
    train(config, run, on_progress=shown.append, say=said.append)
    (first,) = found
    assert first.train_steps == 0 and first.transitions >= 120  # replay is full, and the first five updates are owed
    assert sum(line.startswith("warning: one call makes 5 updates") for line in said) == 1
    phases = list(dict.fromkeys(each.phase for each in shown))
    assert "compiling the first updates" in phases
    # Replay may be full before anything is shown.
    assert "filling replay" not in phases[phases.index("compiling the first updates") :]
    assert latest(run).directory.name == "000002"  # the first, and the one at the end
    if schedule == "overlap":
        assert any(each.first_call_seconds is not None for each in shown)
    assert shown[-1].first_call_seconds is None
