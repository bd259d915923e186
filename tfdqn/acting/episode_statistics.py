"""What can be watched: statistics of finished episodes, and the sinks that numbers go to."""

import json
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from tfdqn.storage.atomic_files import ends_torn
from tfdqn.types import Step


class EpisodeStatistics:
    """Returns and lengths of the episodes that finish in a batch of environments, exploration included.

    Args:
      num_envs: E.
      window: how many finished episodes the recent means are over.
    """

    def __init__(self, num_envs: int, window: int = 100):
        self._running_return = np.zeros(num_envs)
        self._running_length = np.zeros(num_envs, np.int64)
        self._recent: deque[tuple[float, int]] = deque(maxlen=window)
        self.episodes = 0

    def add(self, step: Step) -> None:
        """Counts one step of all environments."""
        if step.is_reset.any():  # also of an episode that broke
            self._running_return[step.is_reset] = 0
            self._running_length[step.is_reset] = 0
        self._running_return += step.reward
        self._running_length += ~step.is_reset
        done = step.terminated | step.truncated
        if done.any():
            finished = zip(self._running_return[done], self._running_length[done], strict=True)
            self._recent.extend((float(total), int(length)) for total, length in finished)
            self.episodes += int(done.sum())
            self._running_return[done] = 0
            self._running_length[done] = 0

    @property
    def recent_return(self) -> float | None:
        """Mean return of the recent episodes; None before the first has finished."""
        recent = tuple(self._recent)  # a copy in one step: the actor's thread may add to it meanwhile
        return float(np.mean([total for total, _ in recent])) if recent else None

    @property
    def recent_length(self) -> float | None:
        """Mean length of the recent episodes in environment steps; None before the first has finished."""
        recent = tuple(self._recent)
        return float(np.mean([length for _, length in recent])) if recent else None

    def share_recent(self, other: "EpisodeStatistics") -> None:
        """Makes the recent episodes those of both."""
        self._recent = other._recent

    def drop_unfinished(self) -> None:
        """Forgets the running episodes: a resumed task that could not be put back starts fresh ones."""
        self._running_return[:] = 0
        self._running_length[:] = 0

    def state(self) -> dict[str, np.ndarray]:
        recent = np.array(self._recent, np.float64).reshape(-1, 2)
        return {
            "running_return": self._running_return.copy(),
            "running_length": self._running_length.copy(),
            "recent": recent,
            "episodes": np.array(self.episodes),
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._running_return[:] = arrays["running_return"]
        self._running_length[:] = arrays["running_length"]
        self._recent.clear()
        self._recent.extend((float(total), int(length)) for total, length in arrays["recent"])
        self.episodes = int(arrays["episodes"])


class CombinedStatistics:
    """The statistics of several actors as one: all their episodes; the recent ones are the last of any of them."""

    def __init__(self, parts: Sequence[EpisodeStatistics]):
        self._parts = parts
        for part in parts[1:]:
            part.share_recent(parts[0])

    @property
    def episodes(self) -> int:
        """How many have finished."""
        return sum(part.episodes for part in self._parts)

    @property
    def recent_return(self) -> float | None:
        """Mean return of the recent episodes; None before the first has finished."""
        return self._parts[0].recent_return

    @property
    def recent_length(self) -> float | None:
        """Mean length of the recent episodes in environment steps; None before the first has finished."""
        return self._parts[0].recent_length


class Rate:
    """Events per second since the last reading."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None

    def read(self, seconds: float, count: int) -> float:
        """The rate between the previous call and this one; 0 at the first."""
        previous, self._last = self._last, (seconds, count)
        if previous is None or seconds <= previous[0]:
            return 0.0
        return (count - previous[1]) / (seconds - previous[0])


class JsonLines:
    """A file of one JSON object a line, appended to and flushed line by line; null for what is not finite."""

    def __init__(self, path: Path):
        self._file = path.open("a", encoding="utf-8")
        if ends_torn(path):
            self._file.write("\n")  # a killed writer left half a line: begin a new one

    def write(self, record: Mapping[str, object]) -> None:
        finite = {name: value if _is_json(value) else None for name, value in record.items()}
        self._file.write(json.dumps(finite, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _is_json(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def purge_curves(directory: Path, env_steps: int) -> None:
    """Has TensorBoard forget what its files in a directory, if there are any, say of later than so many steps."""
    if not any(directory.glob("events.out.tfevents.*")):
        return
    started = SessionLog(status=SessionLog.START)
    writer = EventFileWriter(str(directory))
    for _ in range(2):  # TensorBoard takes the first of a run's for no restart
        writer.add_event(Event(wall_time=time.time(), step=env_steps + 1, session_log=started))
    writer.close()


class TensorBoard:
    """TensorBoard event files: scalars, the configuration as text, hyper-parameters.

    TensorFlow keeps every Python number that an eager call has ever met as a tensor, for ever: 15 kB for each point
    of a run's curves. It is given NumPy's numbers, which it forgets.
    """

    def __init__(self, directory: Path):
        self._writer = tf.summary.create_file_writer(str(directory))

    def scalars(self, values: Mapping[str, float], env_steps: int) -> None:
        """Curves over environment steps."""
        with self._writer.as_default(step=np.int64(env_steps)):
            for name, value in values.items():
                tf.summary.scalar(name, np.float32(value))
        self._writer.flush()

    def histogram(self, name: str, values: np.ndarray, env_steps: int) -> None:
        """The distribution of values [N]."""
        with self._writer.as_default(step=np.int64(env_steps)):
            tf.summary.histogram(name, values)

    def text(self, name: str, markdown: str) -> None:
        with self._writer.as_default(step=0):
            tf.summary.text(name, markdown)

    def hyperparameters(self, values: Mapping[str, bool | int | float | str]) -> None:
        """The run's entry in the HParams view."""
        from tensorboard.plugins.hparams import api as hparams

        with self._writer.as_default():
            hparams.hparams(dict(values))

    def close(self) -> None:
        self._writer.close()
