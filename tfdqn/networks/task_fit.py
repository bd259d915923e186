"""Whether a task fits a network of tfdqn's own, as far as its observations tell; without TensorFlow."""

import math

from tfdqn.config import MLP, Impala, Linear, NatureCNN, Network, SmallCNN
from tfdqn.errors import ConfigError
from tfdqn.task_spec import ArraySpec, TaskSpec

# The least height and width of an image, which a network's convolutions need.
NATURE_CNN_PIXELS, SMALL_CNN_PIXELS, IMPALA_PIXELS = 36, 3, 1
_LEAST_PIXELS: dict[type[Network], int] = {
    NatureCNN: NATURE_CNN_PIXELS,
    SmallCNN: SMALL_CNN_PIXELS,
    Impala: IMPALA_PIXELS,
}


def require_fit(network: Network, task_spec: TaskSpec) -> None:
    """Raises ConfigError if the network can't take the task's observations; one of the user's own may take any."""
    if (least := _LEAST_PIXELS.get(type(network))) is not None:
        image_of(task_spec, network.kind, least)
    elif type(network) is MLP or type(network) is Linear:
        normalized_keys(network, task_spec)


def image_of(task_spec: TaskSpec, kind: str, least: int) -> tuple[str, int, int, int]:
    """The key, height, width and channels of the task's only image; stacked frames count as channels.

    Raises ConfigError if it observes anything else, or the image has fewer than `least` pixels on a side.
    """
    if len(task_spec.observation) != 1 or not _is_image(next(iter(task_spec.observation.values()))):
        seen = {key: spec.shape for key, spec in task_spec.observation.items()}
        has_image = any(map(_is_image, task_spec.observation.values()))
        own = ", and for an image and numbers docs/your_algorithm.md has a network" if has_image else ""
        raise ConfigError(
            f'network.kind = "{kind}": needs one image [height, width] or [height, width, channels]; '
            f"{task_spec.id} observes {seen}, which network.kind=mlp takes{own}"
        )
    ((key, spec),) = task_spec.observation.items()
    frame = spec.frame_shape
    if min(frame[:2]) < least:
        raise ConfigError(
            f'network.kind = "{kind}": images of {task_spec.id} are too small ({frame[0]} x {frame[1]}, as height and '
            f"width come before channels); at least {least} x {least} pixels are needed"
        )
    channels = spec.frame_stack * math.prod(frame[2:])
    return key, frame[0], frame[1], channels


def normalized_keys(settings: MLP | Linear, task_spec: TaskSpec) -> list[str]:
    """The keys of the arrays that the settings normalise. Raises ConfigError if they should, but there are none."""
    if not settings.normalize_observations:
        return []
    keys = [key for key, spec in task_spec.observation.items() if spec.is_of_unknown_scale]
    if not keys:
        raise ConfigError(
            f"network.normalize_observations = true: {task_spec.id} observes no numbers of unknown scale; categories, "
            "bytes, bits and images with known bounds are scaled already"
        )
    return keys


def _is_image(spec: ArraySpec) -> bool:
    """Whether an array is an image, [H, W] or [H, W, C], of numbers rather than categories; frames may be stacked."""
    return not spec.categories and spec.has_image_shape
