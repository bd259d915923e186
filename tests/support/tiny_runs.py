"""Small whole runs for tests: configurations that train in a second, and what is read back of a run."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from tfdqn.config import Config
from tfdqn.config.toml import from_mapping
from tfdqn.networks.factory import weight_specs
from tfdqn.storage.best_policy import load_policy_weights
from tfdqn.storage.checkpoints import Checkpoint, CheckpointManager
from tfdqn.storage.run_directory import RunDir

TINY = {
    "task": {"id": "CartPole-v1", "num_envs": 4},
    "network": {"kind": "mlp", "hidden_units": [16]},
    "exploration": {"kind": "epsilon_greedy", "decay_env_steps": 1_000},
    "replay": {"block_size": 4, "capacity": 1_000, "min_size": 100},
    "learner": {"batch_size": 16, "updates_per_call": 5, "env_steps_per_update": 4.0, "xla": "off"},
    "stop": {"env_steps": 1_200},
    "evaluation": {"interval_env_steps": 500, "episodes": 4, "confirm_episodes": 0, "final_episodes": 4},
    "logging": {"tensorboard": False},
}

# Learned within 12,000 steps.
CATCH_IN_PIXELS = {
    "task": {
        "id": "tests.support.toy_environments:Catch-v0",
        "num_envs": 8,
        "frame_stack": 2,
        "kwargs": {"pixels": True},
    },
    "network": {"kind": "nature_cnn"},
    "agent": {"kind": "double_dqn", "n_step": 3},
    "optimizer": {"kind": "adam", "learning_rate": 5e-4},
    "exploration": {"kind": "epsilon_greedy", "decay_env_steps": 3_000},
    "replay": {"item": "frames", "capacity": 20_000, "min_size": 500},
    "learner": {"batch_size": 32, "updates_per_call": 20, "env_steps_per_update": 4.0},
    "stop": {"env_steps": 12_000, "return_at_least": 0.98},
    "evaluation": {"interval_env_steps": 1_000, "episodes": 50, "confirm_episodes": 0},
    "logging": {"tensorboard": False},
}


def tiny(*overrides: str) -> Config:
    """CartPole for 1,200 environment steps and 270 updates of a network of sixteen units."""
    return from_mapping(TINY, overrides)


def tiny_pqn(*overrides: str) -> Config:
    """The same task and network by PQN: rollouts of 16 steps, of 64 transitions, whose updates are 12."""
    base = {section: keys for section, keys in TINY.items() if section != "replay"}
    agent = {"kind": "pqn", "rollout_steps": 16, "epochs": 3, "lambda_": 0.8}
    learner = {"batch_size": 16, "schedule": "alternate", "xla": "off"}
    return from_mapping({**base, "agent": agent, "learner": learner}, overrides)


def by_loop_alone(interrupted: Callable[[], bool]) -> Callable[[], bool]:
    """An `interrupted` for `train` that answers its loop, which is this thread.

    Others ask by the clock, at any moment of the loop's; and if it raises in the watchdog's, that ends the process.
    """
    loop = threading.get_ident()
    return lambda: threading.get_ident() == loop and interrupted()


def latest(run: Path) -> Checkpoint:
    """The newest checkpoint of a run."""
    checkpoint = CheckpointManager(run / "checkpoints").latest()
    assert checkpoint is not None
    return checkpoint


def policy_weights(run: Path, which: Literal["best", "latest"]) -> dict[str, np.ndarray]:
    """A run's weights by canonical name."""
    found = RunDir(run)
    return load_policy_weights(found, which, weight_specs(found.config(), found.task_spec()))[0]


def everything(run: Path) -> dict[str, np.ndarray]:
    """All that decides a run's future, by name."""
    checkpoint = latest(run)
    return {
        f"{file}/{name}": array
        for file in ("learner", "actor", "writer", "replay")
        for name, array in checkpoint.arrays(file).items()
    }


def lines(path: Path) -> list[dict]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def assert_same_arrays(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    """Same names, same values, to the last bit."""
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
