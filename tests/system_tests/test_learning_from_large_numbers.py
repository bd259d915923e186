"""CartPole whose observations are in thousands: solved where the network normalises them, and not where it doesn't.

There is chance in it, so what is tested is how many of three seeds solve it.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_runs import policy_weights
from tfdqn.config.toml import from_mapping
from tfdqn.exporting.from_run import export_run
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.storage.records import Evaluation
from tfdqn.tasks.registry import make_task
from tfdqn.training.train import train

SOLVED = 475.0


def final(run: Path, seed: int, normalize: bool, env_steps: int) -> float:
    """The mean return of the best policy's last episodes."""
    config = from_mapping(
        {
            "seed": seed,
            "task": {"id": "tests.support.scaled_cartpole:ScaledCartPole-v0", "num_envs": 16},
            "network": {"kind": "mlp", "hidden_units": [64, 64], "normalize_observations": normalize},
            "agent": {"kind": "double_dqn", "target_update_period_train_steps": 100},
            "optimizer": {"kind": "adam", "learning_rate": 1e-3},
            "exploration": {"end": 0.05, "decay_env_steps": 10_000},
            "replay": {"backend": "in_graph", "capacity": 50_000, "min_size": 1_000},
            "learner": {"batch_size": 64, "updates_per_call": 20, "env_steps_per_update": 4.0, "schedule": "alternate"},
            "stop": {"env_steps": env_steps, "return_at_least": SOLVED},
            "evaluation": {"interval_env_steps": 2_000, "episodes": 20, "confirm_episodes": 20, "final_episodes": 50},
            "logging": {"tensorboard": False},
        }
    )
    summary = train(config, run)
    assert summary.final is not None
    return summary.final.mean_return
