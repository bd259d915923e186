"""A step of frames has a column for each transition that can finish with it; were there more, none is lost unseen."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.random_episodes import random_steps, stacked
from tests.support.replay_contents import MakeReplay, write
from tests.support.tiny_runs import tiny
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.items import frames
from tfdqn.replay.items.frames import FrameWriter
from tfdqn.replay.priorities import PriorityScale
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.types import Experience, Step

N = 2
PLACES = TaskSpec(
    id="Places-v0",
    observation={"time": ArraySpec(shape=(), dtype="int64"), "env": ArraySpec(shape=(), dtype="int32")},
    actions=discrete(2),
)


def test_more_transitions_than_a_step_has_columns_for_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    config, codec = tiny(f"agent.n_step={N}"), TransitionCodec(PLACES)
    writer: Any = SimpleNamespace(append=lambda columns: None)

    def too_many(config: Any, codec: Any, num_envs: int, insert: Any) -> Any:
        rows = codec.to_bytes(np.zeros_like(codec.empty(N + 2)))
        return SimpleNamespace(write=lambda experience: insert(rows))

    monkeypatch.setattr(frames, "make_n_step_writer", too_many)
    frame_writer = FrameWriter(config, codec, "observation", [writer], 2, PriorityScale(config.priorities), int)
    stack, nowhere = {"observation": np.zeros((1, 2, 4), np.float32)}, np.zeros(1, bool)
    step = Step(stack, np.ones(1, np.float32), nowhere, nowhere, nowhere, None)
    with pytest.raises(AssertionError, match="4 transitions for 3 columns"):
        frame_writer.write(Experience(stack, None, np.zeros(1, np.int32), step))


def test_frames_that_are_enough_to_be_sampled_after_a_restart_are_in_the_table(
    make: MakeReplay, tmp_path: Path
) -> None:
    """Else the learner waits for the last of them, and the actors for the learner."""
    spec = stacked(2)
    taken = random_steps(spec, 30, 6, np.random.default_rng(3), 0.0)
    saved = make(spec, item="frames", min_size=150)
    write(saved, taken[:4])
    kept = tmp_path / "kept"
    kept.mkdir()
    saved.save(kept)
    restored = make(spec, item="frames", min_size=150)
    restored.restore(kept)
    assert restored.size() == 120
    restored.load_state(saved.state())
    written = 120 + restored.writer(30).write(taken[4])
    restored.flush()  # as before each call that samples
    assert restored.size() == written == restored.min_size
