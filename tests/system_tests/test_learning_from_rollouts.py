"""PQN learns what it should: small tasks whose answers are known, and CartPole by the authors' numbers."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_runs import policy_weights
from tests.support.toy_environments import chain_values
from tfdqn.config.toml import from_mapping, load
from tfdqn.training.call import train


def test_the_chains_values_are_those_of_value_iteration(tmp_path: Path) -> None:
    """Exploring steps are random, so that only λ = 0 is without bias; half of the episodes are cut short."""
    config = from_mapping(
        {
            "task": {
                "id": "tests.support.toy_environments:Chain-v0",
                "num_envs": 16,
                "kwargs": {"random_start": True},
                "max_episode_steps": 6,
            },
            "network": {"kind": "linear"},
            "agent": {"kind": "pqn", "rollout_steps": 16, "epochs": 4, "lambda_": 0.0, "discount": 0.9},
            "optimizer": {"kind": "sgd", "learning_rate": 0.5},
            "exploration": {"kind": "epsilon_greedy", "end": 0.5, "decay_env_steps": 20_000},
            "learner": {"batch_size": 64, "schedule": "alternate"},
            "stop": {"env_steps": 40_000},
            "evaluation": {"interval_env_steps": 40_000, "episodes": 8, "final_episodes": 8},
            "logging": {"tensorboard": False},
        }
    )
    train(config, tmp_path / "run")
    np.testing.assert_allclose(policy_weights(tmp_path / "run", "latest")["theta/kernel"], chain_values(0.9), atol=0.01)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_catch_is_learned_by_a_normalised_mlp(seed: int, tmp_path: Path) -> None:
    config = from_mapping(
        {
            "seed": seed,
            "task": {"id": "tests.support.toy_environments:Catch-v0", "num_envs": 32},
            "network": {"kind": "mlp", "hidden_units": [64], "layer_norm": True},
            "agent": {"kind": "pqn", "rollout_steps": 16, "epochs": 4, "gradient_clip_norm": 10.0},
            "optimizer": {"kind": "radam", "learning_rate": 2e-3},
            "exploration": {"kind": "epsilon_greedy", "decay_env_steps": 20_000},
            "learner": {"batch_size": 64, "schedule": "alternate"},
            "stop": {"env_steps": 60_000, "return_at_least": 1.0},
            "evaluation": {"interval_env_steps": 5_000, "episodes": 50, "confirm_episodes": 0},
            "logging": {"tensorboard": False},
        }
    )
    summary = train(config, tmp_path / "run")
    assert summary.final is not None and summary.final.mean_return >= 0.95


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cartpole_is_solved(seed: int, tmp_path: Path) -> None:
    summary = train(load("configs/algorithms/pqn.toml", [f"seed={seed}"]), tmp_path / "run")
    assert summary.final is not None and summary.final.episodes == 100
    assert summary.final.mean_return >= 475
