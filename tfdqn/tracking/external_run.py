"""`ExternalRun`: a run in another system; `TrackedRun`: keeps that run complete over all sessions of training."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tfdqn.records import Evaluation
from tfdqn.storage.atomic_files import read_decoded, write_atomically
from tfdqn.storage.run_records import read_evaluations
from tfdqn.tracking.tracker import ForwardingTracker, Point, Tracker, curves_of


class ExternalRun(Tracker):
    """A run in another system, made of the section `tracking`, the run's directory and its `TrackedRun`.

    Attributes:
      id: the system's id for it, by which it is resumed.
      where: where the user finds it, in words, such as a URL.
      store: where the system keeps it, if the same configuration may mean another place the next time; else "".
    """

    id: str
    where: str
    store: str = ""


class Record(msgspec.Struct):
    """What another system has been given so far, all sessions together; kept in the run directory."""

    id: str  # the external run's; of a new one a random id, which the system may replace
    place: str
    store: str = ""  # of the external run, which it must go on in; "": it is new, or has none
    point: tuple[int, int] = (-1, -1)  # (env steps, train steps) of the newest point of the curves
    evaluated: tuple[int, int] = (-1, -1)  # (env steps, train steps) of the newest evaluation
    calls: int = 0  # number of calls of the external run's methods


_records = msgspec.json.Decoder(Record)


class TrackedRun(ForwardingTracker):
    """Gives an `ExternalRun` what it doesn't have yet.

    A resumed run continues its external run under the same id. Steps that are repeated after a kill are not logged
    again, so that the curves never go back.

    Args:
      file: where the record of what has been logged is kept.
      place: where in the system the run is, such as a project. If it has changed, a new external run is begun.
      evaluations: the run's `evaluations.jsonl`, from which evaluations are read: in a job another process writes them.

    Attributes:
      is_new: whether there is no external run to resume.
      record: what it has been given.
    """

    def __init__(self, file: Path, place: str, evaluations: Path):
        self._file, self._evaluations = file, evaluations
        self._evaluations_bytes = 0
        earlier = read_decoded(file, _records.decode)
        self.is_new = earlier is None or earlier.place != place
        self.record = Record(secrets.token_hex(4), place) if earlier is None or self.is_new else earlier
        self._point_before = self.record.point  # the newest of earlier sessions
        self._run: ExternalRun | None = None

    def begin(self, run: ExternalRun) -> None:
        """Attaches the external run, which from now on receives what it doesn't have yet."""
        self._run, self.record.id, self.record.store = run, run.id, run.store
        self._write()

    def tell(self, method: str, *arguments: Any) -> None:
        self._tell_evaluations()
        self._call(method, *arguments)

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        point = (at.env_steps, at.train_steps)
        if point > self._point_before:
            self.record.point = point
            super().scalars(values, at)

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        """Does nothing: evaluations are read from the file."""

    def _tell_evaluations(self) -> None:
        size = self._evaluations.stat().st_size if self._evaluations.exists() else 0
        if size == self._evaluations_bytes:
            return
        self._evaluations_bytes = size
        for line in read_evaluations(self._evaluations):
            number = (line.env_steps, line.train_steps or 0)
            if number > self.record.evaluated:
                self.record.evaluated = number
                self._call("scalars", curves_of(line), Point(*number, line.seconds or 0.0))

    def _call(self, method: str, *arguments: Any) -> None:
        """Records a call, then makes it: a kill in between loses a point, but none is given twice."""
        self.record.calls += 1
        self._write()
        getattr(self._run, method)(*arguments)

    def _write(self) -> None:
        write_atomically(self._file, msgspec.json.encode(self.record))
