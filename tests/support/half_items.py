"""A kind of replay item from outside the package: one transition, its observations stored in sixteen bits each."""

from collections.abc import Mapping, Sequence

import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import trajectory

from tfdqn.config import Config, Priorities
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.items.kinds import register_item_kind
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.server import TABLE
from tfdqn.task_spec import TaskSpec

_STATES = "observation/observation", "next_observation/observation"


class HalfItems:
    """A column for each field of a transition, in turn to every server."""

    examples_per_item = transitions_per_item = 1
    fills_servers_evenly = True
    copies = 1.0
    priority_scale = PriorityScale(Priorities())

    def __init__(self, config: Config, task_spec: TaskSpec) -> None:
        self._agent, self._codec = config.agent, TransitionCodec(task_spec)
        self.signature = {
            name: tf.TensorSpec(dtype.shape, tf.float16 if name in _STATES else dtype.base)
            for name, (dtype, *_) in (self._codec.dtype.fields or {}).items()
        }
        self._writers: list[reverb.TrajectoryWriter] = []
        self._inserted = 0

    def writer(self, clients: Sequence[reverb.Client], num_envs: int) -> NStepWriter:
        self._writers = [client.trajectory_writer(num_keep_alive_refs=1) for client in clients]
        return NStepWriter(self._codec, num_envs, Horizon.of(self._agent), self._insert)

    def decode(self, items: dict[str, tf.Tensor], num_servers: int) -> trajectory.Transition:
        return self._codec.transition(items | {name: tf.cast(items[name], tf.float32) for name in _STATES})

    def flush(self) -> None:
        for writer in self._writers:
            writer.flush()

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        pass

    def _insert(self, rows: np.ndarray) -> None:
        for row in self._codec.from_bytes(rows):
            writer = self._writers[self._inserted % len(self._writers)]
            writer.append(
                {name: np.asarray(row[name], spec.dtype.as_numpy_dtype) for name, spec in self.signature.items()}
            )
            writer.create_item(TABLE, 1.0, {name: writer.history[name][-1] for name in self.signature})
            self._inserted += 1
            if self._inserted % 16 == 0:
                writer.flush(16)


register_item_kind("halves", HalfItems)
