"""`FrameItems`: items that are slices of an environment's history of frames, so that each frame is stored once."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import trajectory

from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.replay.codec import TransitionCodec, place_codec, with_places
from tfdqn.replay.devices import gather
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import make_n_step_writer
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.server import TABLE
from tfdqn.task_spec import ArraySpec, TaskSpec
from tfdqn.types import Experience

_FRAMES, _ROW = "frames", "row"
_MAX_CHUNK_FRAMES = 4  # frames that are compressed together, and stay in memory while an item refers to any of them
_STEPS_BETWEEN_CHECKS = 16
_MAX_ITEMS_PENDING = 16  # for one environment; from 50 on Reverb logs warnings


class FrameItems:
    """Items of S + n frames, the last of which is the newest frame of o_{t+k}, and a row with the other fields.

    With S frames per stack and k <= n steps, o_{t+k} is the last S frames, and o_t starts at frame n - k. With S = 4
    and n = 3:

        frames of an item    0  1  2  3  4  5  6
        o_{t+k}                       x  x  x  x
        o_t, if k = 3        x  x  x  x
        o_t, if k = 1              x  x  x  x

    The row holds action, R, discount and legal actions, and in place of each observation its time and environment: k is
    the difference between the two times.

    Items of one environment share frames, so all go to the same server. Environments with short episodes write fewer
    transitions, since a reset is a step without one: the servers fill at about, but not exactly, the same rate.
    """

    fills_servers_evenly = False
    copies = 1.0
    examples_per_item = transitions_per_item = 1

    def __init__(self, config: Config, task_spec: TaskSpec):
        self._key, spec = _stacked_observation(task_spec)
        self._config, self._horizon = config, Horizon.of(config.agent)
        self._stack = spec.frame_stack
        self.priority_scale = PriorityScale(config.priorities)
        self._codec = TransitionCodec(task_spec)
        self._row_codec = place_codec(task_spec)
        self.signature = {
            _FRAMES: tf.TensorSpec((self._stack + self._horizon.longest, *spec.shape[1:]), spec.dtype),
            _ROW: tf.TensorSpec((self._row_codec.row_bytes,), tf.uint8),
        }
        self._writers: list[FrameWriter] = []
        self._until_sampled = config.replay.min_size  # how many more transitions, of all writers, sampling waits for
        self._counting = threading.Lock()

    def writer(self, clients: Sequence[reverb.Client], num_envs: int) -> "FrameWriter":
        """A writer for `num_envs` environments, which are divided evenly among the servers."""
        trajectory_writers = [self._trajectory_writer(clients[env % len(clients)]) for env in range(num_envs)]
        writer = FrameWriter(
            self._config, self._row_codec, self._key, trajectory_writers, self._stack, self.priority_scale, self._count
        )
        self._writers.append(writer)
        return writer

    def decode(self, items: dict[str, tf.Tensor], num_servers: int) -> trajectory.Transition:
        """Decodes frames [N, S + n, …] and rows uint8[N, row_bytes] into N transitions of stacks, in order."""
        frames = items[_FRAMES]
        fields = self._row_codec.fields(items[_ROW])
        n = self._horizon.longest
        k = fields["next_observation/time"] - fields["observation/time"]
        start = n - k
        indices = start[:, None] + tf.range(self._stack, dtype=start.dtype)
        stacks = frames[:, : self._stack] if n == 1 else gather(frames, indices, batch_dims=1)
        fields[f"observation/{self._key}"] = stacks
        fields[f"next_observation/{self._key}"] = frames[:, n:]
        return self._codec.transition(fields)

    def flush(self) -> None:
        """Waits until every finished transition is in the table."""
        for writer in self._writers:
            writer.flush()

    def state(self) -> dict[str, np.ndarray]:
        """Returns nothing: a transition becomes an item as soon as it is finished."""
        return {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Does nothing, since there is no state."""

    def _count(self, transitions: int) -> None:
        """Counts finished transitions; flushes all items to the table when `min_size` is reached.

        Actors may then wait for the learner, which waits for the table. Items whose last chunk of frames isn't full
        would otherwise never be sent.
        """
        with self._counting:
            before, self._until_sampled = self._until_sampled, self._until_sampled - transitions
        if before > 0 >= self._until_sampled:
            self.flush()

    def _trajectory_writer(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        kept = self._stack + self._horizon.longest + 1  # an item's frames, and one for an item that is a step late
        writer = client.trajectory_writer(num_keep_alive_refs=kept)
        writer.configure((_FRAMES,), num_keep_alive_refs=kept, max_chunk_length=_MAX_CHUNK_FRAMES)
        for column in _row_columns(self._horizon):
            writer.configure((column,), num_keep_alive_refs=1, max_chunk_length=1)
        return writer


class _Finished(NamedTuple):
    """A finished transition that is not an item yet."""

    row: np.ndarray  # uint8[row_bytes]
    priority: float
    end: int  # the time of its last frame


class FrameWriter:
    """Writes the frames of a batch of environments with stacked observations, and items that refer to them.

    A transition that a step finishes ends with that step's frame, so its item is the newest S + n frames. Several may
    finish at once, when an episode ends or n decreases: their rows are then columns of the same step, since a step
    without a frame would be a gap in later slices. An episode is preceded by n - 1 further copies of its oldest frame,
    so that no slice reaches into the previous episode.

    Args:
      codec: the layout of rows.
      key: of the stacked observation.
      writers: one for each environment.
      stack: S.
      count: is called with the number of transitions that each step finished.
    """

    def __init__(
        self,
        config: Config,
        codec: TransitionCodec,
        key: str,
        writers: list[reverb.TrajectoryWriter],
        stack: int,
        scale: PriorityScale,
        count: Callable[[int], None],
    ):
        self._codec, self._scale, self._count = codec, scale, count
        self._key = key
        self._writers = writers
        horizon = Horizon.of(config.agent)
        self._n, self._row_columns = horizon.longest, _row_columns(horizon)
        self._frames_per_item = stack + self._n
        self._windows = make_n_step_writer(config, codec, len(writers), self._collect)
        self._finished: list[list[_Finished]] = [[] for _ in writers]  # by environment, in this step
        self._starts_episode = np.ones(len(writers), bool)  # whether the next step is an episode's first
        self._time = 0  # of the newest frame
        self._lock = threading.Lock()  # checkpoints flush in another thread than the actor's

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many transitions it added to replay."""
        step = experience.step
        finished = self._windows.write(with_places(experience, self._time))
        self._time += 1
        before, after = experience.observation[self._key], step.observation[self._key]
        with self._lock:
            for env, writer in enumerate(self._writers):
                if step.is_reset[env]:
                    self._append(writer, None, self._finished[env])
                    continue
                if self._starts_episode[env]:
                    self._start_episode(writer, before[env])
                self._append(writer, after[env, -1], self._finished[env])
                if self._time % _STEPS_BETWEEN_CHECKS == 0:
                    writer.flush(_MAX_ITEMS_PENDING)
        self._starts_episode = step.terminated | step.truncated | step.is_reset
        self._count(finished)
        return finished

    def flush(self) -> None:
        """Waits until every item is in the table."""
        with self._lock:
            for writer in self._writers:
                writer.flush()

    def state(self) -> dict[str, np.ndarray]:
        """Returns nothing: Reverb's writers hold the frames and can't be saved, so open windows are lost."""
        return {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Does nothing, since there is no state."""

    def _start_episode(self, writer: reverb.TrajectoryWriter, stack: np.ndarray) -> None:
        for frame in [stack[0]] * (self._n - 1) + list(stack):
            writer.append({_FRAMES: frame})

    def _append(self, writer: reverb.TrajectoryWriter, frame: np.ndarray | None, finished: list[_Finished]) -> None:
        """Appends a step, of its frame (None for a reset) and finished rows, and creates the rows' items."""
        columns_of_a_step = len(self._row_columns)
        assert len(finished) <= columns_of_a_step, f"{len(finished)} transitions for {columns_of_a_step} columns"
        step = {column: each.row for column, each in zip(self._row_columns, finished, strict=False)}
        if frame is not None:
            step[_FRAMES] = frame
        if step:
            writer.append(step)
        if finished:
            self._create_items(writer, finished)
            finished.clear()

    def _create_items(self, writer: reverb.TrajectoryWriter, finished: list[_Finished]) -> None:
        """Creates the items of the rows that the newest step holds."""
        history = writer.history  # once, since each access builds it anew
        for column, each in zip(self._row_columns, finished, strict=False):
            steps_ago = self._time - each.end  # 1 for a transition that has waited for the value of its last state
            end = -steps_ago if steps_ago else None
            frames = history[_FRAMES][-steps_ago - self._frames_per_item : end]
            writer.create_item(TABLE, each.priority, {_FRAMES: frames, _ROW: history[column][-1]})

    def _collect(self, rows: np.ndarray, errors: np.ndarray | None = None) -> None:
        """Keeps finished transitions until their step is appended."""
        fields = self._codec.from_bytes(rows)
        envs, ends = fields["observation/env"], fields["next_observation/time"]
        priorities = np.full(len(rows), self._scale.largest) if errors is None else self._scale(errors)
        for env, row, priority, end in zip(envs, rows.copy(), priorities, ends, strict=True):
            self._finished[env].append(_Finished(row, priority, end))


def _row_columns(horizon: Horizon) -> list[str]:
    """The columns for rows in a step: as many as can finish in one, n windows and one that waited for its value."""
    return [f"{_ROW}_{i}" for i in range(horizon.longest + 1)]


def _stacked_observation(task_spec: TaskSpec) -> tuple[str, ArraySpec]:
    """Returns the key and spec of the task's only observation. Raises ConfigError if it isn't a stack of frames."""
    (key, spec), *others = task_spec.observation.items()
    if others or spec.frame_stack < 2:
        raise ConfigError(
            'replay.item = "frames" needs one observation, stacked: task.frame_stack of 2 or more; '
            f"{task_spec.id} has {len(others) + 1}, frame_stack {spec.frame_stack}"
        )
    return key, spec
