"""`export_run`: a run's best or latest weights → the next version in its `exports/`; `BestExports`: each new best.

`export_results` is `export_run` for a run that is about to finish.
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from tfdqn.config import Config
from tfdqn.config.user_modules import own_failures_as_own_code_error
from tfdqn.errors import first_line
from tfdqn.exporting.destinations import Card, make_destination
from tfdqn.exporting.formats import ModelFormat, convert, parse_formats
from tfdqn.exporting.model_card import write_model_card
from tfdqn.exporting.saved_model import export_policy
from tfdqn.exporting.tf_serving_files import model_name, write_serving_files, write_warm_up_requests
from tfdqn.exporting.versions import CARD_NUMBER
from tfdqn.networks.best_actions import aggregate
from tfdqn.networks.factory import network_to_load, weight_specs
from tfdqn.records import EpisodeScores, Evaluation, Summary
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.best_policy import load_best, load_policy_weights, require_policy, require_return
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_summary
from tfdqn.task_spec import TaskSpec

_RUN = "run"  # the key of a version's card with the id of the run that made it by `export.on_best`


@own_failures_as_own_code_error()
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
    parsed_formats = parse_formats(formats)
    run = RunDir.at(run_dir).begun()
    require_policy(run, checkpoint)
    if min_return is not None:
        require_return(run, checkpoint, min_return)
    return _export_policy(run, checkpoint, read_summary(run.summary_file), parsed_formats)


@own_failures_as_own_code_error()
def export_results(run: RunDir, summary: Summary) -> Path:
    """Exports a run's best policy (the latest, if none was evaluated) before its summary is written.

    Returns the version's path. Raises as `export_run`.
    """
    return _export_policy(run, "best" if run.best_weights.exists() else "latest", summary)


def _export_policy(
    run: RunDir, checkpoint: Literal["best", "latest"], summary: Summary | None, formats: Collection[ModelFormat] = ()
) -> Path:
    config, task_spec = run.config(), run.task_spec()
    weights, card = load_policy_weights(run, checkpoint, weight_specs(config, task_spec))
    origin = {"checkpoint": checkpoint, **card}
    if "evaluation" in card and (final := _final_scores(summary, card["evaluation"]["mean_return"])):
        origin["final_evaluation"] = msgspec.to_builtins(final)
    version = export_weights(config, task_spec, weights, run.exports, origin, formats)
    write_serving_files(run.exports)
    return version


def _final_scores(summary: Summary | None, best_return: float) -> EpisodeScores | None:
    """The final evaluation of the best policy; None if there is none, or the summary's is of an earlier best policy.

    A run that is resumed keeps its old summary until it finishes again. Each new best policy has a higher return.
    """
    return summary.final if summary is not None and summary.best_return == best_return else None


@own_failures_as_own_code_error()
def export_weights(
    config: Config,
    task_spec: TaskSpec,
    weights: Mapping[str, np.ndarray],
    directory: Path,
    origin: Mapping[str, Any],
    formats: Collection[ModelFormat] = (),
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Exports weights as the next version in a directory, and returns the version's path.

    Args:
      config: of the run that the weights were trained in.
      task_spec: the task.
      weights: arrays by canonical name.
      directory: the folder of versions.
      origin: for the version's cards: the checkpoint, its steps, its evaluations.
      formats: what the SavedModel is also converted to.
      check: is called once all files are written; if it raises, there is no version.

    Raises UserError if the policy can't be converted to a format, RunDirError if the version can't be written.
    """
    network = network_to_load(config, task_spec)
    network.load_named_weights(weights)

    def add(version: Path) -> None:
        write_warm_up_requests(version, task_spec, config.network.state_size)
        convert(version, formats)
        write_model_card(version, task_spec, config, origin)
        check()

    card = {**origin, "network": msgspec.to_builtins(config.network)}
    aggregate_members = None
    if config.ensemble.size > 1:
        card["ensemble"] = msgspec.to_builtins(config.ensemble)
        aggregate_members = partial(aggregate, aggregation=config.ensemble.aggregation)
    return export_policy(task_spec, network, directory, card, aggregate_members, add)


class BestExports:
    """Exports new best policies as `[export]` says, in a background thread, so that no evaluation waits for it.

    A failed export is reported in one line, and training goes on. Of the versions that this run exported here, the
    newest `export.keep` are kept; no other version is ever removed.

    `say` is called in the background thread. Raises ConfigError for a URL that TensorFlow can't write.
    """

    def __init__(self, config: Config, run: RunDir, task_spec: TaskSpec, say: Callable[[str], None]):
        self._config, self._run, self._task_spec, self._say = config, run, task_spec, say
        self._destination = make_destination(config.export.directory, run.exports, model_name(run.exports))
        self._thread = ThreadPoolExecutor(1, "exports")

    def catch_up(self) -> None:
        """Queues an export of the best policy in the run's directory, if an earlier session was killed before its own.

        Raises CheckpointError as `load_best`.
        """
        if self._config.export.on_best and self._run.best_weights.exists():
            self.new_best(*load_best(self._run.best_weights, weight_specs(self._config, self._task_spec)))

    def new_best(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        """Queues an export of these weights, unless this run's newest version here is of the same policy.

        They are arrays by canonical name, which must not change afterwards.
        """
        if self._config.export.on_best:
            self._thread.submit(self._export, weights, evaluation)

    def close(self) -> None:
        """Waits until all queued exports have been made."""
        self._thread.shutdown()

    def _export(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        try:
            self._run.check_exists()  # else it would be made again for this version
            origin = {
                "checkpoint": "best",
                "train_steps": evaluation.train_steps,
                "evaluation": msgspec.to_builtins(evaluation.scores),
                _RUN: self._run_id(),
            }
            newest = next(reversed(self._own_cards().values()), {})
            newest_return = newest.get("evaluation", {}).get("mean_return")
            # Two evaluations of the same policy play the same episodes.
            if (newest.get("train_steps"), newest_return) != (evaluation.train_steps, evaluation.scores.mean_return):
                where = self._publish(weights, origin)
                self._say(f"exported the best policy so far, with return {evaluation.scores.mean_return:,.2f}: {where}")
                for version in list(self._own_cards())[: -self._config.export.keep]:
                    self._destination.remove(version)
        except Exception as error:  # a full disk or an unreachable bucket must not end the training
            self._say(f"warning: the best policy couldn't be exported: {first_line(error)}")

    def _publish(self, weights: Mapping[str, np.ndarray], origin: Mapping[str, Any]) -> str:
        def export(directory: Path) -> Path:
            check = self._run.check_exists
            return export_weights(self._config, self._task_spec, weights, directory, origin, check=check)

        try:
            return self._destination.publish(export)
        except Exception:
            if not self._run.config_file.exists():  # it was moved meanwhile, and TensorFlow has made these again
                with suppress(OSError):
                    self._run.exports.rmdir()
                    self._run.path.rmdir()
            raise

    def _own_cards(self) -> dict[int, Card]:
        """The cards of the versions that this run exported here, oldest first; copies of them are left out."""
        return {
            version: card
            for version, card in self._destination.cards().items()
            if card.get(_RUN) == self._run_id() and card.get(CARD_NUMBER) == version
        }

    def _run_id(self) -> str:
        """The run's random id, which tells its versions from those of other runs that export to the same place."""
        if not self._run.export_id_file.exists():
            write_atomically(self._run.export_id_file, uuid.uuid4().hex.encode())
        return self._run.export_id_file.read_text(encoding="utf-8")
