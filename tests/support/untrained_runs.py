"""Runs with a policy that has learned nothing, for tests of what is done with a policy."""

from pathlib import Path

import numpy as np

from tests.support.tiny_runs import tiny
from tfdqn.evaluation.evaluator import scores
from tfdqn.networks.factory import q_network
from tfdqn.records import Evaluation
from tfdqn.storage.best_policy import save_best
from tfdqn.storage.run_directory import RunDir
from tfdqn.tasks.registry import resolve_spec


def untrained_run(path: Path, *overrides: str) -> RunDir:
    """A run of `tiny(*overrides)` at `path`, with such a policy as its best."""
    found, config = RunDir(path), tiny(*overrides)
    spec = resolve_spec(config.task)
    with found.claim(config):
        found.write_task_spec(spec)
    network = q_network(config, spec, seed=1)
    network.create_variables()
    weights = {name: each.numpy() for name, each in network.named_weights().items()}
    of_one = scores(np.array([9.0]), np.array([9]))
    save_best(found.best_weights, weights, Evaluation(env_steps=4, train_steps=3, scores=of_one, is_best=True))
    return found
