"""`suggestions`: keys of the configuration that suit a task, by what random plays have shown, each with its reason."""

from collections.abc import Iterator
from typing import NamedTuple

from tfdqn.config import Task
from tfdqn.system.processors import available_cores
from tfdqn.task_spec import MASK, TaskSpec
from tfdqn.tasks.adapters.legal_actions import METHODS
from tfdqn.tasks.checking.images import LARGE, has_channels_first, is_picture
from tfdqn.tasks.checking.random_play import OwnTraits, Play

_NATURE_CNN_PIXELS = 36  # the least height and width that the convolutions of `nature_cnn` take
_SMALL_CNN_PIXELS = 3  # and that of `small_cnn`
_ONE_FRAME = {1: "an image of 1 channel (grey)", 3: "an image of 3 channels (RGB)"}  # others hold a stack
_SLOW_STEPS_PER_SECOND = 1_000.0  # below this, the cost of processes is small beside that of a step
ENDLESS_STEPS = 10_000  # without an end, after which an episode is taken for endless
_CLEARLY_FASTER = 1.5  # times; a smaller difference of two short plays may be chance
_LEAST_SECONDS = 0.5  # of stepping, below which one pause of the machine may be most of a play


class Suggestion(NamedTuple):
    """A key to set, and why."""

    setting: str  # "key=value", as the command line takes it
    reason: str


def suggestions(
    task: Task, spec: TaskSpec, play: Play | None, in_processes: Play | None, own: OwnTraits
) -> list[Suggestion]:
    """The keys to set besides those of `task`, with all others at their defaults.

    Args:
      task: the section of the configuration that was played.
      play: its play; None if that failed, perhaps by an illegal action: then only masks are suggested.
      in_processes: a play of a process for each core; None if that was not tried.
    """
    masks = [] if task.action_masks else [*_mask_suggestions(spec, own)]
    if play is None:
        return masks
    return [
        *_observation_suggestions(task, play),
        *masks,
        *_signal_suggestions(task, play, own),
        *_speed_suggestions(task, play, in_processes),
    ]


def _observation_suggestions(task: Task, play: Play) -> Iterator[Suggestion]:
    parts = list(play.spec.observation.values())
    if len(parts) == 1 and has_channels_first(parts[0]):  # a finding: no network reads it as an image
        return
    shape = parts[0].frame_shape
    if len(parts) > 1 or not is_picture(parts[0]) or (least := min(shape[:2])) < _SMALL_CNN_PIXELS:
        if play.largest > LARGE:
            yield Suggestion("network.normalize_observations=true", f"observed numbers reach {play.largest:g}")
        return
    if least < _NATURE_CNN_PIXELS:
        yield Suggestion("network.kind=small_cnn", f"nature_cnn needs {_NATURE_CNN_PIXELS} cells each way, not {least}")
        return
    size = f"{shape[0]} × {shape[1]} pixels"
    yield Suggestion("network.kind=nature_cnn", f"images of {size}; it needs {_NATURE_CNN_PIXELS} each way")
    channels = shape[2] if len(shape) == 3 else 1
    if task.frame_stack == 1 and channels in _ONE_FRAME:
        yield Suggestion("task.frame_stack=4", f"{_ONE_FRAME[channels]} is one frame, which doesn't show what moves")
    if task.frame_stack > 1 or channels in _ONE_FRAME:
        yield Suggestion("replay.item=frames", "each frame of a stack is then stored once, compressed")


def _signal_suggestions(task: Task, play: Play, own: OwnTraits) -> Iterator[Suggestion]:
    if own.most_lives > 1 and not task.end_on_life_loss:
        why = f'info["lives"] counts up to {own.most_lives} lives, and the game goes on after a lost one'
        yield Suggestion("task.end_on_life_loss=true", why)
    largest = max(map(abs, play.rewards))
    if largest > LARGE and not (task.reward_clip or task.reward_sign or task.reward_normalization):
        is_game = all(map(is_picture, play.spec.observation.values()))
        setting = "task.reward_clip=1.0" if is_game else "task.reward_normalization=0.99"
        yield Suggestion(setting, f"rewards reach {largest:g}, and unchanged they make Q-values as large")
    if not play.lengths and play.spec.max_episode_steps is None and play.steps >= ENDLESS_STEPS:
        why = f"no episode ended in {play.steps:,} steps, and the task has no limit of its own"
        yield Suggestion("task.max_episode_steps=1000", why)


def _mask_suggestions(spec: TaskSpec, own: OwnTraits) -> Iterator[Suggestion]:
    if MASK in own.info or MASK in spec.observation:
        place = "info" if MASK in own.info else "observation"
        yield Suggestion("task.action_masks=true", f'{place}["{MASK}"] says which actions are legal')
    elif own.mask_methods:
        named = [*(name for name in METHODS if name in own.mask_methods), *own.mask_methods]
        yield Suggestion("task.action_masks=true", f"{named[0]}() says which actions are legal")
        if named[0] not in METHODS:
            yield Suggestion(f"task.action_mask_source=method:{named[0]}", "no other place has masks")


def _speed_suggestions(task: Task, play: Play, in_processes: Play | None) -> Iterator[Suggestion]:
    if in_processes is None or in_processes.is_held_up:
        return
    if (factor := in_processes.steps_per_second / play.steps_per_second) >= _CLEARLY_FASTER:
        speeds = f"{in_processes.steps_per_second:,.0f} steps a second, not {play.steps_per_second:,.0f}"
        yield Suggestion("task.vectorization=async", f"{factor:.1f} times as fast here: {speeds}")
        if task.num_envs > (cores := available_cores()):
            yield Suggestion(f"task.num_envs={cores}", f"this machine has {cores} cores for their processes")


def may_be_faster_in_processes(play: Play) -> bool:
    """Whether processes are worth a try: environments are stepped in turn, and were slow for long enough to tell.

    Not if one step was most of that time: a batch in processes would wait for such a step as well.
    """
    is_slow = play.steps_per_second < _SLOW_STEPS_PER_SECOND and play.seconds >= _LEAST_SECONDS
    return is_slow and not play.is_own_vector_version and not play.is_held_up
