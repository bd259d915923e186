"""What one strategy saved any other resumes: the very same arrays, from which training goes on."""

from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import tfdqn, write_config
from tests.support.tiny_runs import assert_same_arrays, latest, tiny
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.storage.checkpoints import Checkpoint
from tfdqn.training.call import train

WAYS = {
    "local": ["learner.strategy=local"],
    "mirrored": ["learner.strategy=mirrored", "learner.logical_devices=2"],
    "multi_worker": ["learner.strategy=multi_worker", "learner.workers=2"],
    "parameter_server": [*("learner.strategy=parameter_server", "learner.workers=2", "learner.parameter_servers=2")],
    "parameter_server, one worker": ["learner.strategy=parameter_server", "learner.workers=1"],
    "averaging": [
        *("learner.strategy=averaging", "learner.workers=1", "learner.logical_devices=2"),
        "learner.averaging_period_train_steps=5",
    ],
    "averaging, moments apart": [
        *("learner.strategy=averaging", "learner.workers=1", "learner.logical_devices=2"),
        *("learner.averaging_period_train_steps=5", "learner.average_optimizer=false"),
    ],
    "model parallel": [*("learner.strategy=local", "learner.logical_devices=2", "learner.model_parallel=2")],
    "mesh": [*("learner.strategy=mirrored", "learner.logical_devices=4", "learner.model_parallel=2")],
}
# In turn, so that acting comes first after a resumption; and saved after every step of it, so that what was restored
# is saved again before any update has changed it.
SETTINGS = (
    *(
        "learner.schedule=alternate",
        "checkpoint.interval_seconds=0.0001",
        "checkpoint.keep=1000",
        "checkpoint.max_time_share=1",
    ),
    *("evaluation.interval_env_steps=100_000", "evaluation.episodes=1", "evaluation.final_episodes=1"),
    *("agent.gradient_clip_norm=1.0", "agent.target_update_period_train_steps=7"),
)
ENV_STEPS_PER_LEG = 120  # thirty updates
WEIGHTS = {"hidden_0/kernel": (4, 16), "hidden_0/bias": (16,), "q/kernel": (16, 2), "q/bias": (2,)}


class Walk:
    """A run that each leg resumes by another way."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._run = folder / "run"
        self._env_steps = 100  # until learning begins

    def leg(self, way: str) -> None:
        """Trains on by this way. What it restored must be what was there, and updates must follow."""
        before = latest(self._run) if self._run.exists() else None
        self._env_steps += ENV_STEPS_PER_LEG
        overrides = (*WAYS[way], *SETTINGS, f"stop.env_steps={self._env_steps}")
        if way == "local":  # which needs no process of its own
            train(tiny(*overrides), self._run)
        else:
            config = write_config(self._folder, *overrides)
            with tfdqn(self._folder, "train", config, "--run-dir", "run") as process:
                assert process.ended_within(PATIENCE_SECONDS), f"{way}: {process.out}"
                assert process.ended() == 0, process.err
        after = latest(self._run)
        assert_canonical(after.arrays("learner"))
        if before is None:
            return
        assert after.counters.train_steps > before.counters.train_steps
        restored = Checkpoint(min(path for path in self._checkpoints() if path > before.directory))
        assert restored.counters.train_steps == before.counters.train_steps
        assert restored.counters.env_steps > before.counters.env_steps
        assert_same_arrays(restored.arrays("learner"), before.arrays("learner"))
        assert_moved(after.arrays("learner"), before.arrays("learner"))

    def _checkpoints(self) -> list[Path]:
        return [path for path in (self._run / "checkpoints").iterdir() if path.name.isdecimal()]


def assert_canonical(arrays: dict[str, np.ndarray]) -> None:
    """Whole arrays by their own names, whatever was divided or joined where they come from."""
    kinds = ("online", "target", "optimizer/m", "optimizer/v")
    weights = {f"{kind}/{name}": shape for kind in kinds for name, shape in WEIGHTS.items()}
    counters = {"train_steps": (), "optimizer/iterations": ()}
    assert {name: array.shape for name, array in arrays.items()} == weights | counters
    assert {array.dtype for name, array in arrays.items() if name in weights} == {np.dtype(np.float32)}
    assert {array.dtype for name, array in arrays.items() if name in counters} == {np.dtype(np.int64)}


def assert_moved(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    """Weights, target weights, moments and counters have all changed."""
    for name in ours:
        assert not np.array_equal(ours[name], theirs[name]), name


@pytest.mark.timeout(900)
def test_whole_shared_and_split_weights_resume_one_another(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    for way in ("local", "parameter_server, one worker", "mesh", "local"):
        walk.leg(way)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_way_resumes_what_every_other_saved(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    for way in round_trip([way for way in WAYS if way != "parameter_server, one worker"]):
        walk.leg(way)


def round_trip(places: list[str]) -> list[str]:
    """From the first place back to it, by every way from one place to another once (Hierholzer's algorithm)."""
    left = {place: [other for other in reversed(places) if other != place] for place in places}
    way, trip = [places[0]], []
    while way:
        if left[way[-1]]:
            way.append(left[way[-1]].pop())
        else:
            trip.append(way.pop())
    return trip[::-1]


def test_a_round_trip_takes_every_way_once() -> None:
    trip = round_trip(list("abcde"))
    assert sorted(pairwise(trip)) == sorted(permutations("abcde", 2))
