"""`export_run`: a run's best or latest weights → the next version under its `exports/`; `export_weights`: any."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from tfdqn.config import Config
from tfdqn.errors import UserError
from tfdqn.exporting.formats import ModelFormat, convert, parse_formats
from tfdqn.exporting.model_card import write_model_card
from tfdqn.exporting.saved_model import export_policy
from tfdqn.exporting.tf_serving_files import write_serving_files
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import TaskSpec


def export_run(
    run_dir: RunDir | Path | str,
    checkpoint: Literal["best", "latest"] = "best",
    min_return: float | None = None,
    formats: Collection[str] = (),
) -> Path:
    """Exports the best evaluated policy, or the newest checkpoint's, and returns the version's path.

    Args:
      min_return: nothing is exported unless the best policy's mean return in its evaluation was as good.
      formats: "onnx", "tflite": beside the SavedModel, which is there in any case: others are made from it.

    Raises:
      UserError: where no evaluation bears that out, or the policy can't be had in a format.
      RunDirError: where there is no such run.
      CheckpointError: where the run has no such weights yet.
    """
    from tfdqn.networks.factory import weight_specs
    from tfdqn.storage.best_policy import load_policy_weights

    wanted = parse_formats(formats)
    run = RunDir.at(run_dir)
    config, task_spec = run.config(), run.task_spec()
    weights, card = load_policy_weights(run, checkpoint, weight_specs(config, task_spec))
    if min_return is not None:
        _require_return(min_return, card)
    origin = {"checkpoint": checkpoint, **card}
    version = export_weights(config, task_spec, weights, run.exports, origin, wanted)
    write_serving_files(run.exports)
    return version


def export_weights(
    config: Config,
    task_spec: TaskSpec,
    weights: Mapping[str, np.ndarray],
    directory: Path,
    origin: Mapping[str, Any],
    formats: Collection[ModelFormat] = (),
) -> Path:
    """Exports weights, by canonical name, as the next version in a directory, and returns its path.

    Args:
      origin: where they come from, for the version's cards: the checkpoint, its steps, its evaluation.
      formats: as `export_run`.
    """
    # Here, so that `load_policy` works where TF-Agents is not installed, nor TensorFlow Serving's messages.
    from tfdqn.exporting.tf_serving_files import write_warm_up_requests
    from tfdqn.networks.aggregation import aggregate
    from tfdqn.networks.factory import network_to_load

    network = network_to_load(config, task_spec)
    network.load_named_weights(weights)

    def add(version: Path) -> None:
        write_warm_up_requests(version, task_spec, config.network.state_size)
        convert(version, formats)
        write_model_card(version, task_spec, config, origin)

    card = {**origin, "network": msgspec.to_builtins(config.network)}
    together = None
    if config.ensemble.size > 1:
        card["ensemble"] = msgspec.to_builtins(config.ensemble)
        together = partial(aggregate, aggregation=config.ensemble.aggregation)
    return export_policy(task_spec, network, directory, card, together, add)


def _require_return(min_return: float, card: Mapping[str, Any]) -> None:
    scores = card.get("evaluation")
    if scores is None:
        raise UserError("--min-return is for the best policy: that of the latest checkpoint was not evaluated")
    if not scores["mean_return"] >= min_return:
        raise UserError(
            f"not exported: the best policy's mean return is {scores['mean_return']:.6g} over "
            f"{scores['episodes']} episodes; at least {min_return:.6g} is asked for"
        )
