"""`export_run`: a run's best or latest weights → the next version under its `exports/`."""

from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from tfdqn.exporting.saved_model import export_policy
from tfdqn.run_dir import RunDir


def export_run(run_dir: str | Path, checkpoint: Literal["best", "latest"] = "best") -> Path:
    """Exports the best evaluated policy, or the newest checkpoint's, and returns the version's path.

    Raises:
      RunDirError: where there is no such run.
      CheckpointError: where the run has no such weights yet.
    """
    # Here, so that `load_policy` works where TF-Agents is not installed.
    from tfdqn.networks import network_to_load
    from tfdqn.networks.ensemble_aggregation import aggregate
    from tfdqn.saved_policy import load_policy_weights

    run = RunDir(run_dir)
    config, task_spec = run.config(), run.task_spec()
    weights, card = load_policy_weights(run, checkpoint)
    network = network_to_load(config, task_spec)
    network.load_named_weights(weights)
    card = {"checkpoint": checkpoint, **card, "network": msgspec.to_builtins(config.network)}
    if config.ensemble.size == 1:
        return export_policy(task_spec, network, run.exports, card)
    card["ensemble"] = msgspec.to_builtins(config.ensemble)
    together = partial(aggregate, aggregation=config.ensemble.aggregation)
    return export_policy(task_spec, network, run.exports, card, together)
