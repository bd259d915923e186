"""`BestExports`: each new best policy becomes a version while training goes on; so many of them are kept."""

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
from tfdqn.networks.factory import weight_specs
from tfdqn.records import Evaluation
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.best_policy import load_best
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_spec import TaskSpec

# In a version's card: which run made it of its own accord, and its number, which a copy has not.
_RUN, _VERSION = "run", "version"


class BestExports:
    """What `[export]` asks for, done in a thread of its own: an evaluation waits for no export.

    A failed export is reported, and training goes on to the next. Only versions that this run made by itself are ever
    removed.

    Args:
      config: `export`, and what the versions' cards say.
      run: whose best policies they are.
      task_spec: the task.
      say: shows one line.

    Raises ConfigError for a URL that TensorFlow can't write.
    """

    def __init__(self, config: Config, run: RunDir, task_spec: TaskSpec, say: Callable[[str], None]):
        self._config, self._run, self._task_spec, self._say = config, run, task_spec, say
        self._destination = make_destination(config.export.directory, run.exports, model_name(run.exports))
        self._thread = ThreadPoolExecutor(1, "exports")
        self._newest: tuple[int, float] | None = None  # of those asked for: its updates and its return
        if config.export.on_best and run.best_weights.exists():
            weights, evaluation = load_best(run.best_weights, weight_specs(config, task_spec))
            self._newest = _identity(evaluation)
            self._thread.submit(self._catch_up, weights, evaluation)

    def new_best(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        """Soon makes a version of these weights, which must not change any more; but once, if they come again."""
        if self._config.export.on_best and _identity(evaluation) != self._newest:
            self._newest = _identity(evaluation)
            self._thread.submit(self._export, weights, evaluation)

    def close(self) -> None:
        """Waits for those that are asked for."""
        self._thread.shutdown()

    def _catch_up(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        """Exports the best that an earlier session kept, where that was killed before it did."""
        with self._failures_said():
            own = self._own_cards()
            if not own or own[max(own)].get("train_steps") != evaluation.train_steps:
                self._export(weights, evaluation)

    def _export(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        with self._failures_said():
            self._publish(weights, evaluation)
            for version in sorted(self._own_cards())[: -self._config.export.keep]:
                self._destination.remove(version)

    def _publish(self, weights: Mapping[str, np.ndarray], evaluation: Evaluation) -> None:
        origin = {
            "checkpoint": "best",
            "train_steps": evaluation.train_steps,
            "evaluation": msgspec.to_builtins(evaluation.scores),
            _RUN: self._run_id(),
            _VERSION: self._destination.next_version(),
        }

        def export(directory: Path) -> Path:
            return export_weights(self._config, self._task_spec, weights, directory, origin)

        where = self._destination.publish(export)
        self._say(f"exported the best policy so far, with return {evaluation.scores.mean_return:g}: {where}")

    def _own_cards(self) -> dict[int, Card]:
        return {
            version: card
            for version, card in self._destination.cards().items()
            if card.get(_RUN) == self._run_id() and card.get(_VERSION) == version
        }

    @contextmanager
    def _failures_said(self) -> Iterator[None]:
        """Training goes on without an export: after a full disk, or while a bucket is away."""
        try:
            yield
        except Exception as error:
            self._say(f"warning: the best policy couldn't be exported: {first_line(error)}")

    def _run_id(self) -> str:
        """Names this run among those that may export to the same place."""
        if not self._run.export_id_file.exists():
            write_atomically(self._run.export_id_file, uuid.uuid4().hex.encode())
        return self._run.export_id_file.read_text(encoding="utf-8")


def _identity(evaluation: Evaluation) -> tuple[int, float]:
    """What tells the evaluation of one policy from that of another: the same one gives the same episodes."""
    return evaluation.train_steps, evaluation.scores.mean_return
