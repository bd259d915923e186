"""Whole runs on a GPU: what is learned, what resumes elsewhere, and the memory that is taken."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.conftest import GPUs
from tests.support.commands import PROJECT, newest, tfdqn
from tests.support.tiny_runs import CATCH_IN_PIXELS, TINY
from tfdqn.config.toml import dump, from_mapping

pytestmark = pytest.mark.gpu
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


def written(folder: Path, settings: dict[str, Any]) -> Path:
    file = folder / "config.toml"
    file.write_text(dump(from_mapping(settings, ())))
    return file


def trained(folder: Path, config: Path, *overrides: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """The summary of `folder/run`."""
    arguments = ("train", str(config), "--run-dir", str(folder / "run"), *overrides)
    with tfdqn(folder, *arguments, environment=environment) as process:
        assert process.ended() == 0, process.err
    return json.loads((folder / "run" / "summary.json").read_text())


def test_cartpole_is_learned(gpus: GPUs, tmp_path: Path) -> None:
    stop = ("stop.return_at_least=475", "stop.env_steps=300000")
    summary = trained(tmp_path, PROJECT / "configs" / "cartpole.toml", *stop, *gpus.overrides)
    assert summary["final"]["mean_return"] >= 400


@pytest.mark.parametrize("prefetch", ["false", "true"])
def test_catch_is_learned_from_pixels(prefetch: str, gpus: GPUs, tmp_path: Path) -> None:
    overrides = (f"learner.prefetch_to_device={prefetch}", "acting.device=auto", *gpus.overrides)
    summary = trained(tmp_path, written(tmp_path, CATCH_IN_PIXELS), *overrides)
    assert summary["final"]["mean_return"] >= 0.9  # a random player gets -0.6


@pytest.mark.parametrize("strategy", ["local", "mirrored"])
def test_a_run_goes_on_from_a_gpu_to_the_cpu_and_back(strategy: str, gpus: GPUs, tmp_path: Path) -> None:
    config, train_steps = written(tmp_path, TINY), 0
    for env_steps, environment in ((1_200, None), (2_400, NO_GPU), (3_600, None)):
        overrides = gpus.overrides if environment is None else ()
        changes = (f"stop.env_steps={env_steps}", f"learner.strategy={strategy}", *overrides)
        summary = trained(tmp_path, config, *changes, environment=environment)
        assert env_steps <= summary["env_steps"] < env_steps + 100
        assert summary["train_steps"] > train_steps
        train_steps = summary["train_steps"]


def test_a_training_leaves_memory_for_an_evaluation_beside_it(gpus: GPUs, tmp_path: Path) -> None:
    config = written(tmp_path, CATCH_IN_PIXELS)
    trained(tmp_path, config, "stop.env_steps=2000", *gpus.overrides)
    other = tmp_path / "other"
    other.mkdir()
    endless = ("stop.env_steps=100000000", "stop.return_at_least=1000", "checkpoint.interval_seconds=2")
    with tfdqn(other, "train", str(config), "--run-dir", str(other / "run"), *endless, *gpus.overrides) as process:
        process.until(lambda: newest(other / "run"), "checkpoint")
        assert all(used < 0.5 * total for used, total in gpus.memory_mib()), gpus.memory_mib()
        with tfdqn(tmp_path, "evaluate", str(tmp_path / "run"), "--episodes", "3") as evaluation:
            assert evaluation.ended() == 0, evaluation.err
