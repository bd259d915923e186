"""CartPole whose observations are in thousands: solved where the network normalises them, and not where it doesn't.

There is chance in it, so what is tested is how many of three seeds solve it.
"""

from pathlib import Path

import pytest

from tfdqn.config.toml import from_mapping
from tfdqn.training.call import train

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


@pytest.mark.long
@pytest.mark.parametrize(("normalize", "at_least", "at_most"), [(True, 3, 3), (False, 0, 0)])
def test_of_three_seeds_so_many_solve_it(normalize: bool, at_least: int, at_most: int, tmp_path: Path) -> None:
    returns = [final(tmp_path / str(seed), seed, normalize, 80_000) for seed in (1, 2, 3)]
    assert at_least <= sum(mean >= SOLVED for mean in returns) <= at_most, returns
