"""What lies in a replay's tables, decoded, to compare with what was written."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.trajectories import trajectory

from tests.support.random_episodes import VECTOR, random_steps
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.replay.reverb.in_process import ReverbReplay
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Experience

DISCOUNT = 0.9
MakeReplay = Callable[..., ReverbReplay]


def write(replay: ReverbReplay, taken: list[Experience]) -> None:
    writer = replay.writer(len(taken[0].action))
    for time, step in enumerate(taken):
        writer.write(step._replace(env_steps=time))
    replay._kind.flush()


def stored(replay: ReverbReplay, server: int = 0) -> list[dict[str, Any]]:
    """Everything in one server's table, each transition once, as it decodes."""
    client = replay._servers[server].client
    size = client.server_info(timeout=60)["transitions"].current_size
    items = list(client.sample("transitions", 40 * size, emit_timesteps=False))
    unique = list({item.info.key: item.data for item in items}.values())
    assert len(unique) == size
    columns = list(replay._kind.signature)
    batch = {name: tf.constant(np.stack([data[i] for data in unique])) for i, name in enumerate(columns)}
    return as_dicts(replay._kind.decode(batch, 1))


def as_dicts(transition: trajectory.Transition) -> list[dict[str, Any]]:
    columns = {
        "action": transition.action_step.action,
        "reward": transition.next_time_step.reward,
        "discount": transition.next_time_step.discount,
    }
    for prefix, step in (("", transition.time_step), ("next_", transition.next_time_step)):
        observation = step.observation
        if isinstance(observation, tuple):
            observation, columns[f"{prefix}legal_actions"] = observation
        columns |= {f"{prefix}observation/{key}": value for key, value in observation.items()}
    arrays = {name: value.numpy() for name, value in columns.items()}
    return [{name: array[i] for name, array in arrays.items()} for i in range(len(arrays["action"]))]


def n_step_rows(spec: TaskSpec, taken: list[Experience], n: int, **schedule: Any) -> list[dict[str, Any]]:
    """What `NStepWriter` makes of the same steps."""
    codec, rows = TransitionCodec(spec), []
    writer = NStepWriter(
        codec, len(taken[0].action), Horizon(n, DISCOUNT, **schedule), lambda new: rows.append(new.copy())
    )
    for time, step in enumerate(taken):
        writer.write(step._replace(env_steps=time))
    structured = codec.from_bytes(np.concatenate(rows))
    return [{name: row[name] for name in row.dtype.names} for row in structured]


NUMBERED_ENVS = 4


def numbered(length: int, first: int = 0) -> list[Experience]:
    """Steps of four environments without an end, whose transitions are numbered: o = [number] * 4."""
    taken = random_steps(VECTOR, NUMBERED_ENVS, length, np.random.default_rng(3), 0.0)
    numbers = first + np.arange(length * NUMBERED_ENVS, dtype=np.float32).reshape(length, NUMBERED_ENVS, 1).repeat(
        4, axis=2
    )
    return [step._replace(observation={"observation": number}) for step, number in zip(taken, numbers, strict=True)]


def drawn(sample: tf.Tensor) -> np.ndarray:
    """The numbers of a sample's transitions."""
    return sample.transition.time_step.observation["observation"].numpy()[:, 0].astype(int)
