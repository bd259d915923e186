"""Tasks whose action has several dimensions are learned, as one number and as branches, and what has learned acts."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import tfdqn
from tests.support.dials import Dials
from tfdqn.config import Config
from tfdqn.config.toml import from_mapping
from tfdqn.training.call import train

ID = "tests.support.dials:Dials-v0"
BEST = Dials.STEPS  # as worked out there; a random player of five positions has 4.8, and of two 4


def settings(seed: int, task: dict[str, Any], env_steps: int = 20_000, **agent: Any) -> Config:
    return from_mapping(
        {
            "seed": seed,
            "task": {"id": ID, "num_envs": 16, **task},
            "network": {"kind": "mlp", "hidden_units": [64, 32], "dueling": True},
            "agent": {"kind": "double_dqn", "discount": 0.2, **agent},
            "optimizer": {"kind": "adam", "learning_rate": 3e-3},
            "exploration": {"kind": "epsilon_greedy", "decay_env_steps": 4_000, "end": 0.05},
            "replay": {"backend": "in_graph", "capacity": 20_000, "min_size": 500},
            "learner": {"batch_size": 32, "updates_per_call": 50, "schedule": "alternate", "xla": "off"}
            | {"env_steps_per_update": 8.0},
            "stop": {"env_steps": env_steps, "return_at_least": 0.95 * BEST},
            "evaluation": {"interval_env_steps": 4_000, "episodes": 20, "confirm_episodes": 0, "final_episodes": 20},
            "logging": {"tensorboard": False},
        }
    )


def learned(config: Config, run: Path) -> float:
    """The mean return of the exported policy, in the task by itself: it takes the environment's own actions."""
    train(config, run)
    tfdqn.export(run)
    policy, env = tfdqn.load_policy(run), gymnasium.make(ID, **config.task.kwargs)
    returns = []
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        total, is_over = 0.0, False
        while not is_over:
            observation, reward, is_over, _, _ = env.step(policy(observation))  # refuses what is no action of its own
            total += float(reward)
        returns.append(total)
    return float(np.mean(returns))


SIX_DIALS = {"action_form": "branches", "kwargs": {"dials": 6, "positions": 5}}  # 15,625 actions as a product


def test_six_dials_are_learned_as_branches(tmp_path: Path) -> None:
    assert learned(settings(1, SIX_DIALS), tmp_path / "run") >= 0.9 * BEST


def test_two_dials_are_learned_as_one_number(tmp_path: Path) -> None:
    config = settings(1, {"kwargs": {"dials": 2, "positions": 4}}, env_steps=12_000)
    assert learned(config, tmp_path / "run") >= 0.9 * BEST


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "task",
    [
        SIX_DIALS,
        {"action_form": "branches", "kwargs": {"dials": 4, "narrow": True}},  # of five, four, three and two positions
        {"action_form": "branches", "action_bins": 5, "kwargs": {"kind": "box"}},
        {"action_form": "branches", "kwargs": {"dials": 10, "positions": 2, "kind": "binary"}},
        {"action_bins": [3, 5], "kwargs": {"dials": 2, "kind": "box"}},
        {"kwargs": {"dials": 4, "positions": 2, "kind": "binary"}},
    ],
    ids=str,
)
def test_every_kind_of_space_is_learned(task: dict[str, Any], seed: int, tmp_path: Path) -> None:
    # Of [3, 5] bins the first dial of five positions can be set to three alone: half a position wrong on two of five.
    best = BEST * (0.95 if task.get("action_bins") == [3, 5] else 1.0)
    assert learned(settings(seed, task, env_steps=40_000), tmp_path / "run") >= 0.9 * best


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_as_one_number_six_dials_are_not_learned_from_as_many_steps(seed: int, tmp_path: Path) -> None:
    config = settings(seed, SIX_DIALS | {"action_form": "product"})
    assert learned(config, tmp_path / "run") <= 0.8 * BEST  # as branches at least 0.9
