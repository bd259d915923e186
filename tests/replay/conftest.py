"""Replays in Reverb that are closed when the test ends."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.random_episodes import VECTOR
from tests.support.replay_contents import DISCOUNT, MakeReplay
from tfdqn.config import DQN, Config, Replay
from tfdqn.replay.factory import make_replay
from tfdqn.replay.reverb.in_process import ReverbReplay
from tfdqn.task_spec import TaskSpec


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeReplay]:
    """Replays that are closed when the test ends."""
    made: list[ReverbReplay] = []

    def make(
        spec: TaskSpec = VECTOR, *, n_step: int = 1, schedule: Mapping[str, Any] | None = None, **replay: Any
    ) -> ReverbReplay:
        settings = {"backend": "reverb", "block_size": 4, "capacity": 10_000, "min_size": 1} | replay
        config = Config(agent=DQN(n_step=n_step, discount=DISCOUNT, **(schedule or {})), replay=Replay(**settings))
        built = make_replay(config, spec, tmp_path)
        assert isinstance(built, ReverbReplay)
        made.append(built)
        return built

    yield make
    for replay in made:
        replay.close()
