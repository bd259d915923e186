"""A step of frames has a column for each transition that can finish with it; were there more, none is lost unseen."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

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
