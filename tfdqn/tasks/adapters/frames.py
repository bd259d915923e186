"""Frame stacking: the last observations as one array, oldest first, on a new leading axis."""

from typing import Literal

import gymnasium
import numpy as np
from gymnasium.wrappers import FrameStackObservation
from msgspec import structs

from tfdqn.task_spec import ArraySpec

Padding = Literal["reset", "zero"]  # how a stack is filled up when an episode begins: with its first frame, or zeros


def stack_frames(env: gymnasium.Env, frame_stack: int, padding: Padding) -> gymnasium.Env:
    """Wraps `env` so that an observation is its last `frame_stack` observations, [frame_stack, …]."""
    return env if frame_stack == 1 else FrameStackObservation(env, frame_stack, padding_type=padding)


def stacked_spec(spec: ArraySpec, frame_stack: int) -> ArraySpec:
    """The spec of an array after `stack_frames`."""
    if frame_stack == 1:
        return spec
    return structs.replace(spec, shape=(frame_stack, *spec.shape), frame_stack=frame_stack)


def is_restorable(wrapper: FrameStackObservation) -> bool:
    """Whether the stack can be restored from its observation, which must be a single array."""
    return wrapper.observation_space.shape is not None


def restore_frames(wrapper: FrameStackObservation, frames: np.ndarray) -> None:
    """Restores a stack from its observation, [frame_stack, …]."""
    wrapper.obs_queue.extend(frames)
