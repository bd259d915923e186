"""`Finding`: one line of the check's table; and those that a task's specification and its plays give."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from msgspec import Struct

from tfdqn.config import Task
from tfdqn.errors import counted
from tfdqn.task_spec import ArraySpec, TaskSpec
from tfdqn.tasks.checking.random_play import Play

_MILLION = 1_000_000


class Finding(Struct, frozen=True):
    """One line of the table that the check shows."""

    about: str
    verdict: Literal["yes", "note", "no"]  # "no": the task can't be trained on
    found: str


def shape_findings(spec: TaskSpec) -> list[Finding]:
    """What a `TaskSpec` tells without a play."""
    shown = [
        f"{'' if name == 'observation' else f'{name}: '}{_shown_array(each)}" for name, each in spec.observation.items()
    ]
    size = transition_bytes(spec)
    return [
        Finding("observation", "yes", "; ".join(shown)),
        Finding("actions", "yes", _shown_actions(spec)),
        Finding("a transition", "yes", f"{size:,} bytes in replay: {_shown_bytes(size * _MILLION)} for a million"),
    ]


def play_findings(single: Play, batch: Play, info: frozenset[str]) -> list[Finding]:
    """What the plays of one environment and of many show; `info` has the keys of the environment's own."""
    steps = single.env_steps + batch.env_steps
    ends = (*single.rewards, *batch.rewards)
    lowest, highest = f"{min(ends):g}", f"{max(ends):g}"
    rewards = f"from {lowest} to {highest}" if lowest != highest else f"always {lowest}"
    masks = "those of the masks" if single.spec.action_masks else "always all of them (task.action_masks is false)"
    return [
        Finding("values", "yes", f"finite, and of the spaces' shapes, in all {steps:,} steps"),
        Finding("rewards", "yes", rewards),
        *_episode_findings(single, batch),
        Finding("legal actions", "yes", masks),
        Finding("keys of info", "yes", ", ".join(sorted(info)) or "none"),
        Finding("state", "yes", "can be saved: a resumed run continues the same episodes")
        if batch.gives_state
        else Finding("state", "note", "can't be saved: a resumed run starts new episodes"),
    ]


def speed_line(task: Task, play: Play, env_steps: int) -> str:
    """How many steps a play took, how fast, and how its environments were stepped."""
    count = counted(play.env_steps, "step")
    if resets := play.steps * task.num_envs - play.env_steps:
        count += f" and {counted(resets, 'reset')}"
    cut = "" if play.steps >= env_steps else f" (ended after {play.seconds:.0f} s)"
    if play.is_own_vector_version:
        how = ", by the task's own vectorised version"
    elif task.vectorization == "async":
        how = ", each environment in a process"
    else:
        how = ", one environment after another" if task.num_envs > 1 else ""
    return f"{count}{cut}; {play.steps_per_second:,.0f} steps a second{how}"


def longest_step_findings(about: str, play: Play) -> list[Finding]:
    """A line about the longest step of a play, if that was a large part of it."""
    if not play.is_held_up:
        return []
    line = f"one of {counted(play.steps, 'step')} took {play.longest_seconds:.0f} s of {play.seconds:.0f} s"
    return [Finding("longest step", "note", f"{about}: {line}, so the speed says little")]


def restart_findings(about: str, failures: Sequence[str]) -> list[Finding]:
    """A line about the environments that failed in a play and were restarted, if any; `failures` has what was said."""
    if not failures:
        return []
    more = f"; the first of {len(failures):,}" if len(failures) > 1 else ""
    return [Finding("restarts", "note", f"{about}: {failures[0].removeprefix('warning: ')}{more}")]


def transition_bytes(spec: TaskSpec) -> int:
    """The size of a transition in replay: two observations, two masks, an action, a reward and a discount."""
    state = [(each.dtype, each.shape) for each in spec.observation.values()]
    if spec.action_masks:
        state.append(("bool", spec.mask_shape))
    numbers = [("int32", spec.mask_shape[:-1]), ("float32", ()), ("float32", ())]
    widths = [np.dtype(name).itemsize for name, _ in (*state, *numbers)]
    total = sum(np.dtype(name).itemsize * math.prod(shape) for name, shape in (*state, *state, *numbers))
    return -(-total // max(widths)) * max(widths)  # rows are aligned


def _shown_array(spec: ArraySpec) -> str:
    if not spec.categories:
        return f"{spec.dtype}{list(spec.shape)}"
    one = f"one of {spec.categories:,} categor{'y' if spec.categories == 1 else 'ies'}"
    return one if spec.shape == () else f"{spec.dtype}{list(spec.shape)}, each {one}"


def _shown_actions(spec: TaskSpec) -> str:
    counts = " × ".join(f"{count:,}" for count in spec.actions.counts)
    if len(spec.num_actions) > 1:
        return f"{len(spec.num_actions)} branches, of {counts} values"
    return f"{spec.num_actions[0]:,}" + (f", a grid of {counts} values" if len(spec.actions.counts) > 1 else "")


def _shown_bytes(count: int) -> str:
    return f"{count / 1e9:,.3g} GB" if count >= 1e9 else f"{count / 1e6:,.3g} MB"


def _episode_findings(single: Play, batch: Play) -> list[Finding]:
    lengths, returns = (*single.lengths, *batch.lengths), (*single.returns, *batch.returns)
    limit = single.spec.max_episode_steps
    if not lengths:
        cut = f"each is cut off at {limit:,} steps" if limit else "the task has no limit of steps"
        return [Finding("episodes", "note", f"none ended within {counted(batch.steps, 'step')}; {cut}")]
    return [
        Finding("episodes", "yes", f"{len(lengths):,} ended, {_shown_lengths(lengths, limit)}"),
        Finding("return at random", "yes", _shown_returns(returns)),
    ]


def _shown_lengths(lengths: tuple[int, ...], limit: int | None) -> str:
    """When episodes ended: "each after 200 steps, the limit", or "after 8 to 90 steps, 22.4 on average"."""
    each = "each " if len(lengths) > 1 else ""
    if min(lengths) == max(lengths):
        return f"{each}after {counted(lengths[0], 'step')}{', the limit' if lengths[0] == limit else ''}"
    cut = f"; {cuts:,} at the limit" if limit and (cuts := Counter(lengths)[limit]) else ""
    return f"after {min(lengths):,} to {max(lengths):,} steps, {np.mean(lengths):,.1f} on average{cut}"


def _shown_returns(returns: tuple[float, ...]) -> str:
    if min(returns) == max(returns):
        return f"{'always ' if len(returns) > 1 else ''}{returns[0]:,.2f}"
    return f"{np.mean(returns):,.2f} on average, with a standard deviation of {np.std(returns):,.2f}"
