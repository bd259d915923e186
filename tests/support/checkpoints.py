"""Small checkpoints for tests, each made from a number, and whether one holds what that number made."""

from pathlib import Path

import numpy as np

from tfdqn.records import Counters
from tfdqn.storage.arrays import load_arrays, save_arrays
from tfdqn.storage.checkpoints import Checkpoint, CheckpointManager


def arrays(value: int) -> dict[str, dict[str, np.ndarray]]:
    return {
        "learner": {"online/hidden_0/kernel": np.full((3, 2), value, np.float32), "train_steps": np.array(value)},
        "actor": {"rng": np.arange(value, dtype=np.uint8)},
    }


def save(saved: CheckpointManager, value: int) -> Path:
    return saved.save(
        Counters(env_steps=value, train_steps=2 * value, seconds=0.5),
        arrays(value),
        lambda directory: save_arrays(directory / "table.npz", {"rows": np.full(100, value)}),
    )


def holds(checkpoint: Checkpoint | None, value: int) -> bool:
    assert checkpoint is not None
    for name, expected in arrays(value).items():
        found = checkpoint.arrays(name)
        assert found.keys() == expected.keys()
        for key, array in expected.items():
            np.testing.assert_array_equal(found[key], array)
            assert found[key].dtype == array.dtype
    np.testing.assert_array_equal(load_arrays(checkpoint.replay / "table.npz")["rows"], np.full(100, value))
    return checkpoint.counters == Counters(env_steps=value, train_steps=2 * value, seconds=0.5)
