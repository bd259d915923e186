"""`export_run`: a run's best or latest weights → the next version in its `exports/`; `export_weights`: any weights."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from tfdqn.config import Config
from tfdqn.exporting.formats import ModelFormat, convert, parse_formats
from tfdqn.exporting.model_card import write_model_card
from tfdqn.exporting.saved_model import export_policy
from tfdqn.exporting.tf_serving_files import write_serving_files
from tfdqn.storage.best_policy import load_policy_weights, require_policy, require_return
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import TaskSpec


def export_run(
    run_dir: RunDir | Path | str,
    checkpoint: Literal["best", "latest"] = "best",
    min_return: float | None = None,
    formats: Collection[str] = (),
) -> Path:
    """Exports a run's policy as the next version in its `exports/`, and returns the version's path.

    Args:
      run_dir: the run.
      checkpoint: "best", the policy of the best evaluation, or "latest", that of the newest checkpoint.
      min_return: the least mean return that the best policy must have had in its evaluation; None: any will do.
      formats: "onnx", "tflite": what the SavedModel, which is always written, is also converted to.

    Raises:
      UserError: if the policy was not evaluated or its mean return is below `min_return`, or if it can't be
        converted to one of the formats.
      RunDirError: if there is no such run, or the version can't be written.
      CheckpointError: if the run has no such weights yet.
    """
    from tfdqn.networks.factory import weight_specs

    parsed_formats = parse_formats(formats)
    run = RunDir.at(run_dir)
    config, task_spec = run.config(), run.task_spec()
    require_policy(run, checkpoint)
    if min_return is not None:
        require_return(run, checkpoint, min_return)
    weights, card = load_policy_weights(run, checkpoint, weight_specs(config, task_spec))
    origin = {"checkpoint": checkpoint, **card}
    version = export_weights(config, task_spec, weights, run.exports, origin, parsed_formats)
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
    """Exports weights as the next version in a directory, and returns the version's path.

    Args:
      config: of the run that the weights were trained in.
      task_spec: the task.
      weights: arrays by canonical name.
      directory: the folder of versions.
      origin: for the version's cards: the checkpoint, its steps, its evaluation.
      formats: what the SavedModel is also converted to.

    Raises UserError if the policy can't be converted to a format, RunDirError if the version can't be written.
    """
    # Imported here, since `load_policy` must work without TF-Agents and without TensorFlow Serving's messages.
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
    aggregate_members = None
    if config.ensemble.size > 1:
        card["ensemble"] = msgspec.to_builtins(config.ensemble)
        aggregate_members = partial(aggregate, aggregation=config.ensemble.aggregation)
    return export_policy(task_spec, network, directory, card, aggregate_members, add)
