"""`export_run`: a run's best or latest weights → the next version under its `exports/`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from tfdqn.errors import CheckpointError
from tfdqn.export.saved_model import export_policy
from tfdqn.run_dir import RunDir


def export_run(run_dir: str | Path, checkpoint: Literal["best", "latest"] = "best") -> Path:
    """Exports the best evaluated policy, or the newest checkpoint's, and returns the version's path.

    Raises:
      RunDirError: where there is no such run.
      CheckpointError: where the run has no such weights yet.
    """
    # Here, so that `load_policy` works where TF-Agents is not installed.
    from tfdqn.networks import q_network

    run = RunDir(run_dir)
    config, task_spec = run.config(), run.task_spec()
    weights, card = _WEIGHTS[checkpoint](run)
    network = q_network(config.network, task_spec, seed=config.seed)
    network.create_variables()
    network.load_named_weights(weights)
    return export_policy(
        task_spec,
        network,
        run.exports,
        {"checkpoint": checkpoint, **card, "network": msgspec.to_builtins(config.network)},
    )
