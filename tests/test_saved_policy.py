"""A run's policies on disk: their scores, and which weights are handed out where some are damaged."""

from pathlib import Path

import numpy as np
import pytest

from tests.generations import save
from tfdqn import saved_policy
from tfdqn.checkpoints import Checkpoints
from tfdqn.errors import CheckpointError
from tfdqn.randomness import stream
from tfdqn.run_dir import RunDir
from tfdqn.saved_policy import load_policy_weights
from tfdqn.scores import scores


@pytest.mark.parametrize("elements", [1, 7, 1_000, 10**9])
def test_the_interval_is_the_same_however_much_is_drawn_at_a_time(
    elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    returns = np.random.default_rng(3).normal(size=23)
    resampled = stream(5, "bootstrap").choice(returns, (2_000, 23)).mean(axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    monkeypatch.setattr(saved_policy, "_BOOTSTRAP_ELEMENTS", elements)
    found = scores(returns, np.ones(23), seed=5)
    assert (found.ci_low, found.ci_high) == (low, high)


def test_many_episodes_are_scored_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Generator:
        def __init__(self, real: np.random.Generator):
            self.real, self.largest = real, 0

        def choice(self, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
            self.largest = max(self.largest, shape[0] * shape[1])
            return self.real.choice(values, shape)

    drawn = Generator(np.random.default_rng(0))
    monkeypatch.setattr(saved_policy, "stream", lambda seed, name: drawn)
    scores(np.arange(3_000.0), np.ones(3_000))
    assert 0 < drawn.largest <= 1_000_000


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_latest_weights_are_read_past_a_damaged_replay_and_replaced_by_older_ones_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, said = RunDir(tmp_path), list[str]()
    save(Checkpoints(run.checkpoints), 1)
    newest = save(Checkpoints(run.checkpoints), 2)
    flip(newest / "replay" / "table.npz")
    weights, origin = load_policy_weights(run, "latest", said.append)
    assert weights.keys() == {"hidden_0/kernel"}
    assert (origin["env_steps"], weights["hidden_0/kernel"][0, 0], said) == (2, 2, [])

    flip(newest / "learner.npz")
    weights, origin = load_policy_weights(run, "latest", said.append)
    assert (origin["env_steps"], weights["hidden_0/kernel"][0, 0], len(said)) == (1, 1, 1)
    assert "000002: learner.npz is damaged" in said[0]
    load_policy_weights(run, "latest")
    assert "000002" in caplog.text  # who does not listen hears of it all the same


def test_a_run_without_a_policy_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        load_policy_weights(RunDir(tmp_path), "latest")
    with pytest.raises(CheckpointError, match="no evaluated policy yet"):
        load_policy_weights(RunDir(tmp_path), "best")
