"""C51, QR-DQN and IQN learn the distribution of the return of a task where it is known: `Coins`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.tiny_runs import policy_weights
from tfdqn.config.toml import from_mapping
from tfdqn.networks.factory import network_to_load
from tfdqn.networks.heads.quantile import ImplicitQuantileHead
from tfdqn.networks.q_network import QNetwork
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.call import train

pytestmark = [pytest.mark.long, pytest.mark.parametrize("seed", [1, 2, 3])]
OBSERVATION = {"observation": tf.constant([0, 1])}
MEANS = [[0.75, 0.25], [0.5, 0.5]]  # Q(s, a); -0.5 / 8 + 0.5 / 2 + 3 · 1.5 / 8 = 0.75


def learned(agent: dict[str, Any], seed: int, run: Path) -> QNetwork:
    """The network of a run of 40,000 environment steps and 5,000 updates, by uniformly random actions."""
    config = from_mapping(
        {
            "seed": seed,
            "task": {"id": "tests.support.toy_environments:Coins-v0", "num_envs": 16},
            "network": {"kind": "mlp", "hidden_units": [32, 32]},
            "agent": {"discount": 0.5, **agent},
            "optimizer": {
                "kind": "adam",
                "learning_rate": 3e-3,
                "schedule": "exponential",
                "end_learning_rate": 1e-5,
                "decay_train_steps": 5_000,
            },
            "exploration": {"kind": "epsilon_greedy", "start": 1.0, "end": 1.0},
            "replay": {"backend": "in_graph", "capacity": 40_000, "min_size": 1_000},
            "learner": {"batch_size": 128, "updates_per_call": 50, "env_steps_per_update": 8.0},
            "stop": {"env_steps": 41_000},
            "evaluation": {"interval_env_steps": 40_000, "episodes": 1, "confirm_episodes": 0, "final_episodes": 1},
            "logging": {"tensorboard": False},
        }
    )
    train(config, run)
    network = network_to_load(config, RunDir(run).task_spec())
    network.load_named_weights(policy_weights(run, "latest"))
    np.testing.assert_allclose(network(OBSERVATION)[0], MEANS, atol=0.06)
    return network


def test_c51_learns_the_probabilities(seed: int, tmp_path: Path) -> None:
    """Of the atoms -2, -1.5, …, 2, on which all returns but 0.25 lie, which is half 0 and half 0.5."""
    network = learned({"kind": "c51", "v_min": -2.0, "v_max": 2.0, "atoms": 9}, seed, tmp_path / "run")
    probabilities = tf.nn.softmax(network.outputs(OBSERVATION)[0]).numpy()
    expected = np.zeros((2, 2, 9))
    expected[0, 0, [3, 5, 7]] = 1 / 8, 1 / 2, 3 / 8
    expected[0, 1, [4, 5]] = 1 / 2, 1 / 2
    expected[1, :, [2, 6]] = np.array([[1 / 4], [3 / 4]])
    np.testing.assert_allclose(probabilities, expected, atol=0.05)


def test_qr_dqn_learns_the_quantiles(seed: int, tmp_path: Path) -> None:
    network = learned({"kind": "qr_dqn", "quantiles": 16, "huber_kappa": 0.05}, seed, tmp_path / "run")
    quantiles = network.outputs(OBSERVATION)[0].numpy()
    # Of 16 equal parts, 2, 8 and 6; but those beside a step, which a few throws more or less move.
    np.testing.assert_allclose(
        quantiles[0, 0, [0, *range(3, 9), *range(11, 16)]], [-0.5] + [0.5] * 6 + [1.5] * 5, atol=0.15
    )
    np.testing.assert_allclose(quantiles[0, 1], [0.25] * 16, atol=0.1)
    np.testing.assert_allclose(quantiles[1][:, [0, 1, 2, *range(5, 16)]], [[-1] * 3 + [1] * 11] * 2, atol=0.15)


def test_iqn_learns_the_quantile_function(seed: int, tmp_path: Path) -> None:
    network = learned({"kind": "iqn", "huber_kappa": 0.05}, seed, tmp_path / "run")
    assert isinstance(network.head, ImplicitQuantileHead)
    tau = tf.constant([[0.04, 0.25, 0.4, 0.5, 0.75, 0.9]])
    quantiles = network.head.at(network.features(OBSERVATION)[0], tau).numpy()
    np.testing.assert_allclose(quantiles[0, 0], [-0.5, 0.5, 0.5, 0.5, 1.5, 1.5], atol=0.2)
    np.testing.assert_allclose(quantiles[0, 1], [0.25] * 6, atol=0.15)
    np.testing.assert_allclose(quantiles[1, :, [0, 2, 3, 4, 5]], [[-1, -1], [1, 1], [1, 1], [1, 1], [1, 1]], atol=0.25)
