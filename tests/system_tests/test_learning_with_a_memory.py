"""A recurrent agent solves what no network without a memory can; and a run of it goes on where it was."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_runs import policy_weights
from tfdqn import load_policy
from tfdqn.config import Config
from tfdqn.config.toml import load
from tfdqn.evaluation.evaluate import evaluate
from tfdqn.exporting.from_run import export_run
from tfdqn.training.call import train


def settings(*overrides: str) -> Config:
    return load("configs/algorithms/r2d2-tmaze.toml", ["logging.tensorboard=false", *overrides])


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_turn_is_remembered(seed: int, tmp_path: Path) -> None:
    summary = train(settings(f"seed={seed}"), tmp_path / "run")
    assert summary.final is not None and summary.final.mean_return >= 0.9


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_without_a_memory_nothing_is_better_than_to_guess(tmp_path: Path) -> None:
    summary = train(
        settings("network.memory=none", "replay.item=block", "network.hidden_units=[32, 32]"), tmp_path / "run"
    )
    assert summary.final is not None and summary.final.mean_return <= 0.4


def short(*overrides: str) -> Config:
    return settings(
        "stop.env_steps=2400",
        "stop.return_at_least=none",
        "learner.updates_per_call=5",
        "evaluation.interval_env_steps=1200",
        "learner.xla=off",
        *overrides,
    )


@pytest.mark.parametrize(
    ("memory", "backend", "xla"),
    [("lstm", "reverb", "off"), pytest.param("gru", "in_graph", "on", marks=pytest.mark.long)],
)
def test_a_run_is_resumed_evaluated_and_exported(memory: str, backend: str, xla: str, tmp_path: Path) -> None:
    kind = (f"network.memory={memory}", f"replay.backend={backend}", f"learner.xla={xla}")
    train(short(*kind), tmp_path / "run")
    summary = train(short(*kind, "stop.env_steps=3600"), tmp_path / "run")
    assert summary.env_steps >= 3_600 and summary.train_steps >= 250
    assert "memory/recurrent_kernel" in policy_weights(tmp_path / "run", "latest")
    assert -3.1 <= evaluate(tmp_path / "run", episodes=4).mean_return <= 1
    policy = load_policy(export_run(tmp_path / "run"))
    action, state = policy.step(np.array([1.0, 0.0], np.float32), None)
    assert action in (0, 1, 2) and state is not None


@pytest.mark.parametrize("backend", [pytest.param("reverb", marks=pytest.mark.long), "in_graph"])
def test_sequences_are_sampled_by_priorities_and_values_rescaled(backend: str, tmp_path: Path) -> None:
    own = ("priorities.exponent=0.9", "agent.value_rescaling=1e-3", "network.dueling=true", f"replay.backend={backend}")
    summary = train(short(*own), tmp_path / "run")
    assert summary.train_steps >= 100
    kernel = policy_weights(tmp_path / "run", "latest")["memory/kernel"]
    assert np.isfinite(kernel).all()


def test_two_runs_of_one_seed_are_one_and_so_is_a_resumed_one(tmp_path: Path) -> None:
    same = ("replay.backend=in_graph", "learner.schedule=alternate", "task.num_envs=4", "stop.env_steps=1600")
    train(short(*same), tmp_path / "whole")
    assert train(short(*same, "stop.env_steps=1200"), tmp_path / "parts").train_steps >= 20
    train(short(*same), tmp_path / "parts")
    whole, parts = (policy_weights(tmp_path / name, "latest") for name in ("whole", "parts"))
    for name, array in whole.items():
        np.testing.assert_array_equal(array, parts[name], err_msg=name)
