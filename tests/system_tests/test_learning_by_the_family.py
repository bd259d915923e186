"""Each published composition learns Catch, by its own file with another task and what belongs to one."""

from typing import Any

import pytest

from tfdqn.config.toml import load
from tfdqn.training.call import train

pytestmark = pytest.mark.long

CATCH = [
    "task.id=tests.support.toy_environments:Catch-v0",
    "task.num_envs=8",
    "agent.target_update_period_train_steps=100",
    "optimizer.learning_rate=1e-3",
    "replay.capacity=20000",
    "replay.min_size=1000",
    "learner.batch_size=32",
    "learner.env_steps_per_update=4",
    "learner.updates_per_call=20",
    "stop.env_steps=40000",
    "stop.return_at_least=1.0",
    "evaluation.interval_env_steps=4000",
    "evaluation.episodes=50",
    "logging.tensorboard=false",
]
BOARD = ["task.kwargs={board=true}"]
# Frames stored once and stacked, as Atari's, through residual blocks of the paper's kind.
PIXELS = ["task.kwargs={pixels=true}", "task.frame_stack=2", "network.width=1", "network.dense_units=64"]
EPSILON = ["exploration.end=0.05", "exploration.decay_env_steps=10000"]
OVERRIDES = {
    "dqn": [*BOARD, *EPSILON],
    "double": [*BOARD, *EPSILON],
    "dueling": [*BOARD, *EPSILON],
    "prioritised": [*BOARD, *EPSILON],
    "noisy": BOARD,
    "c51": [*BOARD, *EPSILON],
    "rainbow": BOARD,
    "qr_dqn": [*BOARD, *EPSILON],
    "iqn": [*BOARD, *EPSILON],
    "munchausen_iqn": [*BOARD, *EPSILON],
    "ape_x": [*BOARD, "acting.actors=2"],
    "btr": [*PIXELS, *EPSILON],
}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("algorithm", OVERRIDES)
def test_it_catches_every_ball(algorithm: str, seed: int, tmp_path: Any) -> None:
    """The most there is: 1.0 in the mean over episodes whose random play has -0.6."""
    config = load(f"configs/algorithms/{algorithm}.toml", [f"seed={seed}", *CATCH, *OVERRIDES[algorithm]])
    summary = train(config, tmp_path / "run")
    assert summary.final is not None and summary.final.mean_return >= 0.95
