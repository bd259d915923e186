"""`TensorBoard`: writes curves, configuration and hyperparameters as TensorBoard's event files.

`EvaluationsBoard` writes the evaluations.
"""

import io
import re
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams import summary as hparams_summary
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.summary.writer.record_writer import RecordWriter

from tfdqn.records import Evaluation, Summary
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.tracking.tracker import Point, Tracker, final_scores, points_of

_EVENT_FILES = "events.out.tfevents.*"
_END = ".end"  # ends the name of the file that says that a run has finished
_BEGINNING = re.compile(r"events\.out\.tfevents\.(?=(\d+)\.)")  # then the second in which the file was begun
_RESTART = re.compile(r"(\.restart(\.\d+)?)+$")  # earlier versions wrote no number


class TensorBoard(Tracker):
    """A tracker that writes event files to a directory, but for evaluations.

    TensorFlow caches every Python number that is passed to an eager call, as a tensor that is never freed: 15 kB for
    each point of a run's curves. NumPy's numbers are not cached, so they are passed instead.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        self._writer = tf.summary.create_file_writer(str(directory))

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        with self._writer.as_default(step=np.int64(at.env_steps)):
            for name, value in values.items():
                tf.summary.scalar(name, np.float32(value))
        self._writer.flush()

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        """Does nothing: `EvaluationsBoard` writes it."""

    def histogram(self, name: str, values: np.ndarray, at: Point) -> None:
        with self._writer.as_default(step=np.int64(at.env_steps)):
            tf.summary.histogram(name, values)

    def hyperparameters(self, values: Mapping[str, bool | int | float | str]) -> None:
        for end in self._directory.glob(f"{_EVENT_FILES}{_END}"):  # of the run before it was trained further
            end.unlink(missing_ok=True)
        with self._writer.as_default():
            hparams.hparams(dict(values))

    def text(self, name: str, markdown: str) -> None:
        with self._writer.as_default(step=0):
            tf.summary.text(name, markdown)

    def summary(self, summary: Summary, at: Point) -> None:
        """Writes the final scores, and to a file of its own that the run has finished.

        HParams takes the first status of a run that it reads, and shows "unknown" if there is none.
        """
        self.scalars(final_scores(summary), at)
        end = tf.summary.create_file_writer(str(self._directory), filename_suffix=_END)
        with end.as_default(step=0):
            tf.summary.experimental.write_raw_pb(hparams_summary.session_end_pb(STATUS_SUCCESS).SerializeToString())
        end.close()

    def close(self) -> None:
        self._writer.close()


class EvaluationsBoard(Tracker):
    """A tracker that writes evaluations as event files to a directory of their own, made with the first.

    A resumed run may keep evaluations from after its checkpoint, but not its curves, and `purge` discards all that is
    in a directory.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        self._board: TensorBoard | None = None

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        self._board = self._board or TensorBoard(self._directory)
        self._board.scalars(*points_of(evaluation, seconds))

    def rewind(self, env_steps: int) -> None:
        self.close()
        self._board = None
        purge(self._directory, env_steps)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def purge(directory: Path, env_steps: int) -> None:
    """Makes TensorBoard discard the events after `env_steps` in a directory's files, if there are any."""
    _rename_files_of_the_future(directory)
    newest = max(directory.glob(_EVENT_FILES), default=None)
    if newest is None:
        return
    # TensorBoard reads files in the order of their names, which begin with the time in seconds. A file begun in the
    # same second might sort before this one: wait until the second is over.
    while f".{int(time.time())}." in newest.name:
        time.sleep(0.02)
    restarted = Event(wall_time=time.time(), step=env_steps + 1, session_log=SessionLog(status=SessionLog.START))
    records = RecordWriter(content := io.BytesIO())
    # TensorBoard ignores the first restart in a run, so write two.
    for event in (Event(wall_time=restarted.wall_time, file_version="brain.Event:2"), restarted, restarted):
        records.write(event.SerializeToString())
    # After the newest in the order of names, which mustn't grow with each restart before which nothing is written.
    name = _RESTART.sub("", newest.name)
    write_atomically(newest.with_name(f"{name}.restart.{time.time_ns()}"), content.getvalue())


def _rename_files_of_the_future(directory: Path) -> None:
    """Puts the files of a clock that was ahead before those that are begun from now on, in their order."""
    while True:
        now = int(time.time())
        begun = {file: match for file in directory.glob(_EVENT_FILES) if (match := _BEGINNING.match(file.name))}
        ahead = sorted(file for file, match in begun.items() if int(match[1]) > now)
        if not ahead:
            return
        if not any(int(match[1]) == now for match in begun.values()):
            break
        time.sleep(0.02)  # until that second is over, so that all that was begun before has earlier names
    for file in ahead:
        file.rename(file.with_name(_BEGINNING.sub(rf"\g<0>{now}.", file.name)))
