"""`FrameItems`: each frame of a stack is stored once; an item is a slice of one environment's history."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import trajectory

from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.replay.codec import PLACE, TransitionCodec, places
from tfdqn.replay.gather import gather
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.server import TABLE
from tfdqn.replay.td_error_writer import make_n_step_writer
from tfdqn.task_spec import ArraySpec, TaskSpec

if TYPE_CHECKING:
    from tfdqn.types import Experience

_FRAMES, _ROW = "frames", "row"
_MAX_CHUNK_FRAMES = 4  # frames compressed together, which an item then keeps in memory together
_STEPS_BETWEEN_CHECKS = 16
_MAX_ITEMS_PENDING = 16  # of one environment; Reverb complains aloud from 50


class FrameItems:
    """An item holds the S + n frames that end with the last one of o_{t+k}, and the rest of its transition.

    With S frames to a stack and k <= n steps, o_{t+k} is the last S of them and o_t starts at frame n - k.
    The rest (action, R, discount, legal actions) is a row of the codec in which an observation is only the
    time and the environment of a stack: k is the difference of its two times.

    Of several servers, an environment's is the same all along, as its items share frames. Environments whose
    episodes are short write fewer transitions, resets being steps, too: servers fill about equally fast.
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
        self._row_codec = TransitionCodec(msgspec.structs.replace(task_spec, observation=PLACE))
        self.signature = {
            _FRAMES: tf.TensorSpec((self._stack + self._horizon.longest, *spec.shape[1:]), spec.dtype),
            _ROW: tf.TensorSpec((self._row_codec.row_bytes,), tf.uint8),
        }
        self._writers: list[FrameWriter] = []
        self._until_sampled = config.replay.min_size  # transitions, of all writers
        self._counting = threading.Lock()

    def writer(self, clients: Sequence[reverb.Client], num_envs: int) -> FrameWriter:
        """A writer for `num_envs` environments, divided evenly among the servers."""
        trajectory_writers = [self._trajectory_writer(clients[env % len(clients)]) for env in range(num_envs)]
        writer = FrameWriter(
            self._config, self._row_codec, self._key, trajectory_writers, self._stack, self.priority_scale, self._count
        )
        self._writers.append(writer)
        return writer

    def decode(self, items: dict[str, tf.Tensor], num_servers: int) -> trajectory.Transition:
        """frames[N, S + n, …] and row uint8[N, row_bytes] → N transitions of stacked observations, in order."""
        frames = items[_FRAMES]
        fields = self._row_codec.fields(items[_ROW])
        n = self._horizon.longest
        start = n - (fields["next_observation/time"] - fields["observation/time"])
        indices = start[:, None] + tf.range(self._stack, dtype=start.dtype)
        stacks = frames[:, : self._stack] if n == 1 else gather(frames, indices, batch_dims=1)
        fields[f"observation/{self._key}"] = stacks
        fields[f"next_observation/{self._key}"] = frames[:, n:]
        return self._codec.transition(fields)

    def flush(self) -> None:
        """Returns when every finished transition is in the table."""
        for writer in self._writers:
            writer.flush()

    def state(self) -> dict[str, np.ndarray]:
        """Nothing: a transition is an item as soon as it is finished."""
        return {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Nothing to put back."""

    def _count(self, transitions: int) -> None:
        """Puts all that is finished into the table once it is enough to be sampled.

        Actors wait for the learner then, and it for the table: what waits for its frames' chunk to be full would do so
        for ever.
        """
        with self._counting:
            before, self._until_sampled = self._until_sampled, self._until_sampled - transitions
        if before > 0 >= self._until_sampled:
            self.flush()

    def _trajectory_writer(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        kept = self._stack + self._horizon.longest + 1  # an item's frames, one more where it waits for a step
        writer = client.trajectory_writer(num_keep_alive_refs=kept)
        writer.configure((_FRAMES,), num_keep_alive_refs=kept, max_chunk_length=_MAX_CHUNK_FRAMES)
        for column in _row_columns(self._horizon):
            writer.configure((column,), num_keep_alive_refs=1, max_chunk_length=1)
        return writer


class _Finished(NamedTuple):
    """A transition that is to be an item."""

    row: np.ndarray
    priority: float
    end: int  # the time of its last frame


class FrameWriter:
    """Steps of a batch of stacked environments → frames, and items that refer to them.

    Every transition that a step finishes ends with that step's frame, so its item is the newest S + n frames. Several
    finish at an episode's end, and where n falls: their rows are columns of the same step, since a step without a frame
    would be a gap in the slices that follow. An episode starts with n - 1 copies of its oldest frame more: no slice
    reaches into the one before.
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
        self._finished: list[list[_Finished]] = [[] for _ in writers]  # by environment, at this step
        self._starts = np.ones(len(writers), bool)  # the next step is an episode's first
        self._time = 0
        self._lock = threading.Lock()  # checkpoints flush from another thread than the actor's

    def write(self, experience: Experience) -> int:
        """Takes one step of all environments; returns how many transitions are in replay by it that were not before."""
        step = experience.step
        here, there = (places(time, len(self._writers)) for time in (self._time, self._time + 1))
        finished = self._windows.write(experience._replace(observation=here, step=step._replace(observation=there)))
        self._time += 1
        before, after = experience.observation[self._key], step.observation[self._key]
        is_over = step.terminated | step.truncated
        with self._lock:
            for env, writer in enumerate(self._writers):
                if step.is_reset[env]:
                    self._append(writer, {}, self._finished[env])
                    continue
                if self._starts[env]:
                    self._start_episode(writer, before[env])
                self._append(writer, {_FRAMES: after[env, -1]}, self._finished[env])
                if self._time % _STEPS_BETWEEN_CHECKS == 0:
                    writer.flush(_MAX_ITEMS_PENDING)
        self._starts = is_over | step.is_reset
        self._count(finished)
        return finished

    def flush(self) -> None:
        """Returns when every item is in the table."""
        with self._lock:
            for writer in self._writers:
                writer.flush()

    def state(self) -> dict[str, np.ndarray]:
        """Nothing: frames live in Reverb's writers, which can't be saved; open windows are dropped."""
        return {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Nothing to put back: writing goes on with the next step."""

    def _start_episode(self, writer: reverb.TrajectoryWriter, stack: np.ndarray) -> None:
        for frame in [stack[0]] * (self._n - 1) + list(stack):
            writer.append({_FRAMES: frame})

    def _append(self, writer: reverb.TrajectoryWriter, frame: dict[str, np.ndarray], finished: list[_Finished]) -> None:
        """A step: its frame, none of a reset, and the items that are finished."""
        columns_of_a_step = len(self._row_columns)
        assert len(finished) <= columns_of_a_step, f"{len(finished)} transitions for {columns_of_a_step} columns"
        rows = {column: each.row for column, each in zip(self._row_columns, finished, strict=False)}
        if frame or rows:
            writer.append(frame | rows)
        if rows:
            history = writer.history  # which is built anew at each call
            for column, each in zip(rows, finished, strict=True):
                steps_ago = self._time - each.end
                frames = slice(-self._frames_per_item - steps_ago, -steps_ago or None)
                columns = {_FRAMES: history[_FRAMES][frames], _ROW: history[column][-1]}
                writer.create_item(TABLE, each.priority, columns)
            finished.clear()

    def _collect(self, rows: np.ndarray, errors: np.ndarray | None = None) -> None:
        taken = self._codec.from_bytes(rows)
        priorities = np.full(len(rows), self._scale.largest) if errors is None else self._scale(errors)
        ends = taken["next_observation/time"]
        for env, *each in zip(taken["observation/env"], rows.copy(), priorities, ends, strict=True):
            self._finished[env].append(_Finished(*each))


def _row_columns(horizon: Horizon) -> list[str]:
    """Of a writer's step: as many as transitions can come to it, the windows that close and one that has waited."""
    return [f"{_ROW}_{i}" for i in range(horizon.longest + 1)]


def _stacked_observation(task_spec: TaskSpec) -> tuple[str, ArraySpec]:
    """The one observation and its key. Raises ConfigError if it is not a stack of frames."""
    (key, spec), *others = task_spec.observation.items()
    if others or spec.frame_stack < 2:
        raise ConfigError(
            'replay.item = "frames" needs one observation, stacked: task.frame_stack of 2 or more; '
            f"{task_spec.id} has {len(others) + 1}, frame_stack {spec.frame_stack}"
        )
    return key, spec
