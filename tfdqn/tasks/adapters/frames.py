"""Consecutive observations stacked into one, oldest first, on a new leading axis."""

from typing import Literal

import gymnasium
import numpy as np
from gymnasium.wrappers import FrameStackObservation
from msgspec import structs

from tfdqn.task_spec import ArraySpec

Padding = Literal["reset", "zero"]  # what stands before an episode's first frame: that frame again, or zeros


def stack_frames(env: gymnasium.Env, frame_stack: int, padding: Padding) -> gymnasium.Env:
    """`env`, its last `frame_stack` observations as one."""
    return env if frame_stack == 1 else FrameStackObservation(env, frame_stack, padding_type=padding)


def stacked_spec(spec: ArraySpec, frame_stack: int) -> ArraySpec:
    """What `stack_frames` makes of one array."""
    if frame_stack == 1:
        return spec
    return structs.replace(spec, shape=(frame_stack, *spec.shape), frame_stack=frame_stack)


def is_restorable(wrapper: FrameStackObservation) -> bool:
    """Whether an observation tells its frames: where it is a plain array."""
    return wrapper.observation_space.shape is not None


def restore_frames(wrapper: FrameStackObservation, frames: np.ndarray) -> None:
    """Puts back the frames of the present observation, [frame_stack, …]."""
    wrapper.obs_queue.extend(frames)
