"""Which observations are images, and what an environment has to change so that networks read its images rightly."""

from collections.abc import Iterator, Mapping

from tfdqn.task_spec import ArraySpec, TaskSpec
from tfdqn.tasks.array_contract import called
from tfdqn.tasks.checking.findings import Finding
from tfdqn.tasks.observations import MAX_PIXEL

LARGE = 10.0  # an observed number or a reward above this is large: DQN's usual step sizes suit numbers near 1
_MOST_CHANNELS = 16  # four RGB or RGBA frames, at most
_FEW_CHANNELS = 4  # one RGBA frame, four grey ones, or the planes of a small board
_LEAST_SIDE = 16  # a shorter side may also be that of a board, whose channels come last


def is_picture(spec: ArraySpec) -> bool:
    """Whether a frame is an image: [H, W, C], or [H, W] of bytes."""
    rank = len(spec.frame_shape)
    return not spec.categories and (rank == 3 or (rank == 2 and spec.dtype == "uint8"))


def has_channels_first(spec: ArraySpec) -> bool:
    """Whether an image is hardly [H, W, C], as it would be a strip with many channels, and so seems to be [C, H, W].

    Of up to four channels, it is a square whose sides are at least twice as long, or both sides are at least four times
    as long, and not short. Of more channels, it is a square, and the latter.
    """
    if not is_picture(spec) or len(spec.frame_shape) != 3:
        return False
    channels, height, width = spec.frame_shape
    if channels <= _FEW_CHANNELS and height == width:
        return height >= 2 * channels
    is_usual = channels <= _FEW_CHANNELS or height == width
    return is_usual and channels <= _MOST_CHANNELS and min(height, width) >= max(_LEAST_SIDE, 4 * channels)


def image_findings(spec: TaskSpec, largest: float) -> Iterator[Finding]:
    """What networks would misread in a task's only observation, if that is an image; and which read one of several.

    `largest` is the largest absolute value in observed arrays of unknown scale.
    """
    if len(spec.observation) > 1:
        yield from _findings_of_several(spec)
        return
    image = next(iter(spec.observation.values()))
    if not is_picture(image):
        return
    if line := channels_first_warning(spec):
        yield Finding("image", "note", line)
    elif image.is_of_unknown_scale and largest > LARGE:
        line = (
            f"numbers reach {largest:g}, and networks read them unchanged: they divide an image by the bound of its "
            f"Box, but {_why_unscaled(image)}. Give it bounds as in Box(0, 255, …), or uint8"
        )
        yield Finding("image", "note", line)


def channels_first_warning(spec: TaskSpec) -> str:
    """What is said of a task's only observation if it is an image with channels first; "" if it isn't."""
    image = next(iter(spec.observation.values()))
    return _transposed(image) if len(spec.observation) == 1 and has_channels_first(image) else ""


def scaled_image_findings(spec: TaskSpec, largest: Mapping[str, float]) -> Iterator[Finding]:
    """Images that seem to be scaled to 1 already, and that networks divide by the bound of their Box all the same.

    `largest` has the largest absolute value seen in each array that networks divide, by name.
    """
    for name, seen in largest.items():
        image = spec.observation[name]
        if image.has_image_shape and min(image.high) > LARGE and 0 < seen <= 1:
            line = (
                f"numbers of {called(name)} reach only {seen:g}, but networks divide them by {min(image.high):g}, the "
                "bound of their Box: if they are scaled already, give it bounds as in Box(0, 1, …)"
            )
            yield Finding("image", "note", line)


def _findings_of_several(spec: TaskSpec) -> Iterator[Finding]:
    if pictures := [name for name, each in spec.observation.items() if is_picture(each)]:
        line = (
            f"mlp reads the pixels of {' and '.join(pictures)} as numbers, since nature_cnn, small_cnn and impala take "
            "one image and nothing else; docs/your_algorithm.md has a network for an image and numbers"
        )
        yield Finding("image", "note", line)


def _transposed(image: ArraySpec) -> str:
    """What is said of [C, H, W], with the wrapper that makes it [H, W, C]."""
    channels, height, width = image.frame_shape
    ends = [end for pair in image.bounds for end in pair]
    known = ", ".join(f"{end:g}" for end in ends if end is not None) if len(ends) == 2 and None not in ends else ""
    box = f"Box({known or 'LOW, HIGH'}, {(height, width, channels)}, np.{image.dtype})"
    return (
        "channels seem to come first, but nature_cnn, small_cnn and impala take height × width × channels: wrap it, as "
        f"in docs/your_task.md, in TransformObservation(env, lambda image: image.transpose(1, 2, 0), {box})"
    )


def _why_unscaled(image: ArraySpec) -> str:
    ends = [end for pair in image.bounds for end in pair]
    if not ends or None in ends:
        return "this one has none"
    if max(abs(end) for end in ends if end is not None) > MAX_PIXEL:
        return f"this one's is above {MAX_PIXEL:,}"
    return "this one's bounds differ from pixel to pixel"
