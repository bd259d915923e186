"""The far end of a sparse chain: bootstrapped DQN and noisy networks get there, ε-greedy hardly ever does.

There is chance in it, so what is tested is in how many of five seeds each gets there.
"""

from pathlib import Path
from typing import Any

import pytest

from tfdqn.config.toml import from_mapping
from tfdqn.training.call import train

pytestmark = pytest.mark.long

NEVER_RANDOM = {"kind": "epsilon_greedy", "start": 0.0, "end": 0.0}
EPSILON_GREEDY = {"exploration": {"kind": "epsilon_greedy", "start": 1.0, "end": 0.05, "decay_env_steps": 2_000}}
# Noise that can outweigh the small reward: with the paper's sigma, 0.5, the noise is unlearned first.
NOISY = {
    "exploration": NEVER_RANDOM,
    "network": {"kind": "mlp", "hidden_units": [32], "noisy": True, "noisy_sigma": 5.0},
}
# K = 10 and every transition for every member, as Osband et al. 2016 have it for Atari.
BOOTSTRAPPED = {"exploration": NEVER_RANDOM, "ensemble": {"size": 10, "data": "all", "acting": "member"}}


def final_return(run: Path, seed: int, exploring: dict[str, Any]) -> float:
    """Of greedy episodes, after a thousand episodes or once the end is reached."""
    config = from_mapping(
        {
            "seed": seed,
            "task": {"id": "tests.support.sparse_chain:SparseChain-v0", "num_envs": 4},
            "network": {"kind": "mlp", "hidden_units": [32]},
            # The small reward, scaled, is more than what a network thinks before it has learned anything.
            "agent": {"kind": "dqn", "discount": 0.97, "reward_scale": 100.0, "target_update_period_train_steps": 50},
            "optimizer": {"kind": "adam", "learning_rate": 1e-3},
            "replay": {"backend": "in_graph", "capacity": 100_000, "min_size": 500},
            "learner": {"batch_size": 64, "updates_per_call": 10, "env_steps_per_update": 4.0, "schedule": "alternate"},
            "stop": {"env_steps": 29_000, "return_at_least": 1.0},
            "evaluation": {"interval_env_steps": 2_900, "episodes": 4, "confirm_episodes": 0, "final_episodes": 4},
            "logging": {"tensorboard": False},
            **exploring,
        }
    )
    summary = train(config, run)
    assert summary.final is not None
    return summary.final.mean_return


@pytest.mark.parametrize(
    ("exploring", "at_least", "at_most"),
    [
        pytest.param(BOOTSTRAPPED, 5, 5, id="bootstrapped"),
        pytest.param(NOISY, 4, 5, id="noisy"),
        pytest.param(EPSILON_GREEDY, 0, 1, id="epsilon-greedy"),
    ],
)
def test_of_five_seeds_so_many_get_to_the_end(
    exploring: dict[str, Any], at_least: int, at_most: int, tmp_path: Path
) -> None:
    returns = [final_return(tmp_path / str(seed), seed, exploring) for seed in (1, 2, 3, 4, 5)]
    assert at_least <= sum(mean >= 1 for mean in returns) <= at_most, returns
