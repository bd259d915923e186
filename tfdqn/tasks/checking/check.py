"""`check`: plays a task at random, and finds what of training's needs it meets."""

import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from logging.handlers import BufferingHandler

import numpy as np
from msgspec import Struct, structs

from tfdqn.config import Config, Task
from tfdqn.config.toml import with_changed_task
from tfdqn.errors import UserError, counted
from tfdqn.system.processors import available_cores
from tfdqn.tasks.array_contract import CONVERSIONS
from tfdqn.tasks.checking.findings import (
    Finding,
    longest_step_findings,
    play_findings,
    restart_findings,
    shape_findings,
    speed_line,
    transition_bytes,
)
from tfdqn.tasks.checking.images import image_findings, scaled_image_findings
from tfdqn.tasks.checking.random_play import REMEMBERED_STEPS, TRAITS_STEPS, Play, own_traits, play_at_random
from tfdqn.tasks.checking.suggestions import ENDLESS_STEPS, Suggestion, may_be_faster_in_processes, suggestions
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.registry import resolve_spec

ENV_STEPS = 1_000  # of each environment in a play
SECONDS = 20.0  # of stepping, after which a play ends
_SEEDS = (1, 2, 3)  # the seeds whose first observations are compared

Tell = Callable[[str, int, int], None]  # (the play, steps taken in each environment, steps to be taken in each)


class TaskCheck(Struct, frozen=True, kw_only=True):
    """The result of a check, whose plays are of one environment, of many, or of many in processes."""

    task: str
    can_train: bool
    findings: tuple[Finding, ...]
    suggestions: dict[str, str] = {}  # the reason for each "key=value"
    steps_per_second: dict[str, float] = {}  # by play
    episode_lengths: tuple[int, ...] = ()  # of the episodes that ended
    episode_returns: tuple[float, ...] = ()
    transition_bytes: int | None = None  # None if nothing is known of the task

    @property
    def failures(self) -> list[str]:
        """What the task can't be trained on for, one line each, without repetitions."""
        return list(dict.fromkeys(each.found for each in self.findings if each.verdict == "no"))


def check(task: Task, tell: Tell, env_steps: int = ENV_STEPS, seconds: float = SECONDS) -> TaskCheck:
    """Checks a task by random plays of one environment and of `task.num_envs`.

    `tell` is called when a play begins, and after each step. A play takes `env_steps` in each environment, or ends
    after `seconds` of stepping. What is wrong with the task is in the result, and not raised.
    """
    with _said() as said:
        try:
            spec = resolve_spec(task)
        except UserError as error:
            return TaskCheck(task=task.id, can_train=False, findings=(Finding("the task", "no", str(error)),))
        trial = _Trial(task, tell, env_steps, seconds)
        single = trial.play("1 environment", num_envs=1, vectorization="sync")
        batch = trial.play(f"{task.num_envs} environments" if task.num_envs > 1 else "a batch of 1")
        in_processes = trial.play_in_processes(batch)
        own = own_traits(task, lambda steps: tell("info", steps, TRAITS_STEPS))
        findings = shape_findings(spec)
        if single is not None and batch is not None:
            trial.compare_seeds(single, batch)
            batch = trial.play_to_an_end(single, batch)
            findings += [*image_findings(spec, batch.largest), *scaled_image_findings(spec, batch.largest_scaled)]
            converted = {record.getMessage() for record in said if record.name == CONVERSIONS}
            findings += [Finding("dtype", "note", line) for line in sorted(converted)]
            findings += play_findings(single, batch, own.info)
        findings += trial.findings
        warned = dict.fromkeys(record.getMessage() for record in said if record.levelno >= logging.WARNING)
        findings += [Finding("warning", "note", line) for line in warned]
    ended = [play for play in (single, batch) if play is not None]
    return TaskCheck(
        task=task.id,
        can_train=all(each.verdict != "no" for each in findings),
        findings=tuple(findings),
        suggestions=_possible(task, suggestions(task, spec, batch or single, in_processes, own)),
        steps_per_second=trial.steps_per_second,
        episode_lengths=tuple(length for play in ended for length in play.lengths),
        episode_returns=tuple(each for play in ended for each in play.returns),
        transition_bytes=transition_bytes(spec),
    )


def _possible(task: Task, suggested: Iterable[Suggestion]) -> dict[str, str]:
    """The suggestions' reasons by setting, without settings that the task refuses, such as a stack of dict frames."""
    kept: dict[str, str] = {}
    for each in suggested:
        changes = [key for key in (*kept, each.setting) if key.startswith("task.")]
        try:
            if each.setting in changes:
                resolve_spec(with_changed_task(Config(task=task), changes, "suggested").task)
            kept[each.setting] = each.reason
        except UserError:
            continue
    return kept


class _Trial:
    """The plays of a check, and the findings in them."""

    def __init__(self, task: Task, tell: Tell, env_steps: int, seconds: float):
        self._task, self._tell, self._env_steps, self._seconds = task, tell, env_steps, seconds
        self.findings: list[Finding] = []
        self.steps_per_second: dict[str, float] = {}

    def play(self, about: str, **keys: object) -> Play | None:
        """Plays the task with some keys replaced; None if that fails."""
        task = structs.replace(self._task, **keys)
        found = self._play(about, task, self._env_steps, self._seconds, seed=0)
        if found is not None:
            self.findings.append(Finding(about, "yes", speed_line(task, found, self._env_steps)))
            self.steps_per_second[about] = found.steps_per_second
            self.findings += longest_step_findings(about, found)
        return found

    def play_in_processes(self, batch: Play | None) -> Play | None:
        """A play with a process for each environment; None if it fails, or if the task would not gain by it."""
        if self._task.vectorization != "auto" or batch is None or not may_be_faster_in_processes(batch):
            return None
        count = min(self._task.num_envs, available_cores())
        found = self.play(f"{counted(count, 'environment')} in processes", num_envs=count, vectorization="async")
        if found is None:  # only a note, since training doesn't need processes
            self.findings[-1] = structs.replace(self.findings[-1], verdict="note")
        return found

    def play_to_an_end(self, single: Play, batch: Play) -> Play:
        """`batch`; if no episode has ended and there is no limit, with the episodes of a longer play instead."""
        if single.lengths or batch.lengths or single.spec.max_episode_steps is not None:
            return batch
        task = structs.replace(self._task, num_envs=1, vectorization="sync")
        longer = self._play("one long episode", task, ENDLESS_STEPS, self._seconds, seed=0, to_an_end=True)
        if longer is None:
            return batch
        return batch._replace(lengths=longer.lengths, returns=longer.returns, steps=longer.steps)

    def compare_seeds(self, single: Play, batch: Play) -> None:
        """Finds whether a seed gives the same episodes again, and other seeds give others."""
        task = structs.replace(self._task, num_envs=1, vectorization="sync")
        # Without a limit of time, so that it has as many steps as `single`.
        again = self._play("same seed", task, min(single.steps, REMEMBERED_STEPS), math.inf, seed=0)
        others = [self._play("another seed", task, 0, math.inf, seed) for seed in _SEEDS]
        if again is not None and again.digest == single.digest:
            self.findings.append(Finding("same seed", "yes", "gives the same episodes again"))
        elif again is not None:
            cure = "let the environment call super().reset(seed=seed), and draw from self.np_random"
            self.findings.append(Finding("same seed", "note", f"gives other episodes: a run can't be repeated; {cure}"))
        firsts = {_bytes(each.first, 0) for each in others if each is not None}
        begun = {_bytes(batch.first, index) for index in range(self._task.num_envs)}
        if None in others:  # the failure is a finding by itself
            return
        if len(firsts) == 1:
            self.findings.append(Finding("another seed", "note", "every episode begins with the same observation"))
            return
        self.findings.append(Finding("another seed", "yes", "gives another first observation"))
        if len(begun) == 1 < self._task.num_envs:
            line = f"all {self._task.num_envs} begin with the same observation, and gather much the same experience"
            self.findings.append(Finding("environments of a batch", "note", line))

    def _play(
        self, about: str, task: Task, env_steps: int, seconds: float, seed: int, to_an_end: bool = False
    ) -> Play | None:
        self._tell(about, 0, env_steps)
        failures: list[str] = []
        restarts = Restarts(task.restarts, failures.append)
        try:
            return play_at_random(
                task, seed, env_steps, seconds, lambda steps: self._tell(about, steps, env_steps), to_an_end, restarts
            )
        except UserError as error:
            self.findings.append(Finding(about, "no", str(error)))
            return None
        finally:
            self.findings += restart_findings(about, failures)


def _bytes(observation: dict[str, np.ndarray], index: int) -> bytes:
    """Environment `index`'s observation, to compare it with others."""
    return b"".join(array[index].tobytes() for array in observation.values())


@contextmanager
def _said() -> Iterator[list[logging.LogRecord]]:
    """Collects what `tfdqn.tasks` logs in the block, conversions of arrays as well, and keeps it off the terminal."""
    handler = BufferingHandler(sys.maxsize)
    logger, conversions = logging.getLogger("tfdqn.tasks"), logging.getLogger(CONVERSIONS)
    before = logger.propagate, conversions.level
    logger.propagate = False
    conversions.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield handler.buffer
    finally:
        logger.removeHandler(handler)
        logger.propagate = before[0]
        conversions.setLevel(before[1])
