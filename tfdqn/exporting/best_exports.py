"""`BestExports`: exports each new best policy while training goes on, and removes its older versions."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from tfdqn.config import Config
from tfdqn.errors import first_line
from tfdqn.exporting.destinations import Card, make_destination
from tfdqn.exporting.from_run import export_weights
from tfdqn.exporting.tf_serving_files import model_name
from tfdqn.exporting.versions import CARD_NUMBER
from tfdqn.networks.factory import weight_specs
from tfdqn.records import Evaluation
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.best_policy import load_best
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import TaskSpec

_RUN = "run"  # the key of a version's card with the id of the run that made it by `export.on_best`


class BestExports:
    """Exports new best policies as `[export]` says, in a background thread, so that no evaluation waits for it.

    A failed export is reported in one line, and training goes on. Of the versions that this run exported here, the
    newest `export.keep` are kept; no other version is ever removed.

    Args:
      config: the run's configuration; it is part of each version's model card.
      run: the run's directory.
      task_spec: the task.
      say: shows one line to the user; it is called in the background thread.

    Raises ConfigError for a URL that TensorFlow can't write.
    """

    def __init__(self, config: Config, run: RunDir, task_spec: TaskSpec, say: Callable[[str], None]):
        self._config, self._run, self._task_spec, self._say = config, run, task_spec, say
        self._destination = make_destination(config.export.directory, run.exports, model_name(run.exports))
        self._thread = ThreadPoolExecutor(1, "exports")
        self._newest: tuple[int, float] | None = None  # the `_identity` of the last policy that was to be exported
        if config.export.on_best and run.best_weights.exists():
            weights, evaluation = load_best(run.best_weights, weight_specs(config, task_spec))
            self._newest = _identity(evaluation)
            self._thread.submit(self._catch_up, weights, evaluation)

    def new_best(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        """Queues an export of these weights, unless the same policy was the last one queued.

        Args:
          weights: arrays by canonical name, which must not change afterwards.
          evaluation: of the policy that they make.
        """
        if self._config.export.on_best and _identity(evaluation) != self._newest:
            self._newest = _identity(evaluation)
            self._thread.submit(self._export, weights, evaluation)

    def close(self) -> None:
        """Waits until all queued exports have been made."""
        self._thread.shutdown()

    def _catch_up(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        """Exports the best policy of an earlier session, if that was killed before it had exported it."""
        with self._failures_reported():
            own = self._own_cards()
            if not own or own[max(own)].get("train_steps") != evaluation.train_steps:
                self._export(weights, evaluation)

    def _export(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        with self._failures_reported():
            self._publish(weights, evaluation)
            for version in sorted(self._own_cards())[: -self._config.export.keep]:
                self._destination.remove(version)

    def _publish(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        origin = {
            "checkpoint": "best",
            "train_steps": evaluation.train_steps,
            "evaluation": msgspec.to_builtins(evaluation.scores),
            _RUN: self._run_id(),
        }

        def export(directory: Path) -> Path:
            return export_weights(self._config, self._task_spec, weights, directory, origin)

        where = self._destination.publish(export)
        self._say(f"exported the best policy so far, with return {evaluation.scores.mean_return:,.2f}: {where}")

    def _own_cards(self) -> dict[int, Card]:
        """The cards of the versions that this run exported here, by version; copies of them are left out."""
        return {
            version: card
            for version, card in self._destination.cards().items()
            if card.get(_RUN) == self._run_id() and card.get(CARD_NUMBER) == version
        }

    @contextmanager
    def _failures_reported(self) -> Iterator[None]:
        """Turns an exception into a warning: a full disk or an unreachable bucket must not end the training."""
        try:
            yield
        except Exception as error:
            self._say(f"warning: the best policy couldn't be exported: {first_line(error)}")

    def _run_id(self) -> str:
        """The run's random id, which tells its versions from those of other runs that export to the same place."""
        if not self._run.export_id_file.exists():
            write_atomically(self._run.export_id_file, uuid.uuid4().hex.encode())
        return self._run.export_id_file.read_text(encoding="utf-8")


def _identity(evaluation: Evaluation) -> tuple[int, float]:
    """(updates, mean return): equal for two evaluations of the same policy, which play the same episodes."""
    return evaluation.train_steps, evaluation.scores.mean_return
