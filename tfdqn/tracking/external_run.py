"""`ExternalRun`: a run as another system has it; `TrackedRun`: one such run over all sessions of training."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tfdqn.records import Evaluation
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.run_records import read_evaluations
from tfdqn.tracking.tracker import ForwardingTracker, Point, Tracker


class ExternalRun(Tracker):
    """A run as another system has it.

    Attributes:
      id: by which it is found again.
      where: the user finds it, in words.
    """

    id: str
    where: str

    @property
    def takes_videos(self) -> bool:
        return True


class _Record(msgspec.Struct):
    """What is known of a run in another system, kept in the run's directory."""

    id: str
    place: str
    point: tuple[int, int] = (-1, -1)  # of curves that it has had last: environment and train steps
    evaluated: tuple[int, int] = (-1, -1)  # the evaluation that it has had last, likewise
    calls: int = 0  # that it was told


class TrackedRun(ForwardingTracker):
    """Has an `ExternalRun` told what it has not had yet.

    A run that is resumed takes up its own under the same id. Steps that are taken again after a kill are not told
    again, so that its curves never go back.

    Args:
      file: where the record is kept.
      place: of the system, such as a project. Another than before has a run of its own.
      evaluations: the run's `evaluations.jsonl`. They are told from there: in a job another process writes them.
    """

    def __init__(self, file: Path, place: str, evaluations: Path):
        self._file, self._evaluations = file, evaluations
        self._evaluations_bytes = 0
        earlier = self._read()
        self.is_new = earlier is None or earlier.place != place
        self._record = _Record(secrets.token_hex(4), place) if earlier is None or self.is_new else earlier
        self._point_before = self._record.point  # in earlier sessions
        self._run: ExternalRun | None = None

    @property
    def id(self) -> str:
        """The external run's; of one's own choice where that `is_new`."""
        return self._record.id

    @property
    def calls(self) -> int:
        """Of its methods so far, all sessions together."""
        return self._record.calls

    def begin(self, run: ExternalRun) -> None:
        """From now on it is told."""
        self._run, self._record.id = run, run.id
        self._write()

    def tell(self, method: str, *arguments: Any) -> None:
        self._tell_evaluations()
        self._call(method, *arguments)

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        point = (at.env_steps, at.train_steps)
        if point > self._point_before:
            self._record.point = point
            super().scalars(values, at)

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        """Nothing: it is in the file."""

    def _tell_evaluations(self) -> None:
        size = self._evaluations.stat().st_size if self._evaluations.exists() else 0
        if size == self._evaluations_bytes:
            return
        self._evaluations_bytes = size
        for line in read_evaluations(self._evaluations):
            number = (line.env_steps, line.train_steps or 0)
            if number > self._record.evaluated:
                self._record.evaluated = number
                found = {"return": line.mean_return, "std_return": line.std_return, "length": line.mean_length}
                values = {f"evaluation/{name}": value for name, value in found.items() if value is not None}
                self._call("scalars", values, Point(*number, line.seconds or 0.0))

    def _call(self, method: str, *arguments: Any) -> None:
        """What is called is on the disk before: a kill in between loses a point, and none is told twice."""
        self._record.calls += 1
        self._write()
        getattr(self._run, method)(*arguments)

    def _read(self) -> _Record | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Record)
        except (OSError, msgspec.MsgspecError):
            return None

    def _write(self) -> None:
        write_atomically(self._file, msgspec.json.encode(self._record))
