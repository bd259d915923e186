"""A run that has an evaluated policy and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.policies import network_of, task
from tests.support.tiny_runs import tiny
from tfdqn.evaluation.evaluator import scores
from tfdqn.records import Evaluation
from tfdqn.storage.best_policy import save_best
from tfdqn.storage.run_directory import RunDir

RETURNS = np.array([100.0, 200.0, 300.0])


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run of which nothing is there but its best policy."""
    found = RunDir(tmp_path / "run")
    config, spec = tiny(), task()
    with found.claim(config):
        found.write_task_spec(spec)
    weights = {name: each.numpy() for name, each in network_of(spec, config.network).named_weights().items()}
    evaluated = Evaluation(env_steps=40, train_steps=1_270, scores=scores(RETURNS, RETURNS), is_best=True)
    save_best(found.best_weights, weights, evaluated)
    return found
