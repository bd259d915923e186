"""Checks across keys, a function for each subject on which they can contradict each other; and keys without effect.

A check takes a configuration whose keys are each valid on their own, and yields each problem as one line that names
keys and values: `<stop.env_steps>` stands for "stop.env_steps = 500000". It refuses what can't work or can't be meant,
never what is merely unwise. To add one, extend the check of its subject, or write a function whose name begins with
"check_", here, in `replay_checks.py` or in `strategy_checks.py`: they apply in the order in which they are written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any

from msgspec import NODEFAULT, structs

from tfdqn.config.agent import C51, Munchausen
from tfdqn.config.fields import Needs, kinds, needs_of
from tfdqn.config.replay_checks import REPLAY_CHECKS, ROLLOUT_CHECKS
from tfdqn.config.schema import Check, Config, checks_among
from tfdqn.config.strategy_checks import STRATEGY_CHECKS
from tfdqn.config.task import Task
from tfdqn.config.wording import shown, with_values
from tfdqn.errors import ConfigError


def contradiction(config: Config) -> str | None:
    """The first contradiction in `config`, in one line; None if there is none."""
    problem = next((problem for check in checks_of(config) for problem in check(config)), None)
    return problem and with_values(config, problem)


def checks_of(config: Config) -> tuple[Check, ...]:
    """The checks that apply to this configuration: those of replay or of rollouts, and those of every run."""
    return (*(REPLAY_CHECKS if config.agent.has_replay else ROLLOUT_CHECKS), *CHECKS)


def require_together(config: Config) -> None:
    """Raises ConfigError, in one line that names every problem, if the seeds can't be trained together."""
    if problems := list(_problems_together(config)):
        raise ConfigError(with_values(config, f"--together: {'; '.join(problems)}"))


@dataclass(frozen=True)
class UnusedKey:
    """A key that is set and not read: its default, what it would need to be read, and the problem in one line.

    The default of `task.kwargs` is without the one argument that isn't read.
    """

    section: str
    key: str
    default: Any
    needs: Needs
    line: str

    @property
    def path(self) -> str:
        return f"{self.section}.{self.key}"


def unused_keys(config: Config) -> Iterator[UnusedKey]:
    """Yields each unused key whose value differs from its default, once."""
    yield from _windows(config.task)
    for section in structs.fields(Config):
        if not kinds(section.type):
            continue
        values = getattr(config, section.name)
        for key in structs.fields(values):
            default = key.default if key.default_factory is NODEFAULT else key.default_factory()
            if default is NODEFAULT or getattr(values, key.name) == default:
                continue
            if needs := next(_lacking(config, section.type, key.type), None):
                path = f"{section.name}.{key.name}"
                yield UnusedKey(
                    section.name, key.name, default, needs, with_values(config, _line_of_unused(config, path, needs))
                )


def _windows(task: Task) -> Iterator[UnusedKey]:
    """Yields what asks for a window of each environment."""
    if task.kwargs.get("render_mode") == "human":
        others = {key: value for key, value in task.kwargs.items() if key != "render_mode"}
        line = (
            'task.kwargs.render_mode = "human": training opens no windows, and `tfdqn evaluate RUN --video` records an '
            "episode"
        )
        yield UnusedKey("task", "kwargs", others, Needs((), lambda config: False, "windows"), line)


def lacking_needs(config: Config, section: str, key: str) -> Iterator[Needs]:
    """Yields what a key of `config` would need besides to be read."""
    types = {field.name: field.type for field in structs.fields(Config)}
    own = {field.name: field.type for field in structs.fields(getattr(config, section))}
    return _lacking(config, types[section], own[key])


def _lacking(config: Config, *types: Any) -> Iterator[Needs]:
    return (each for own in types for each in needs_of(own) if not each.holds(config))


def without(config: Config, key: UnusedKey) -> Config:
    """`config`, with the key's default."""
    section = structs.replace(getattr(config, key.section), **{key.key: key.default})
    return structs.replace(config, **{key.section: section})


def check_reward_sign(config: Config) -> Iterator[str]:
    task = config.task
    if task.reward_sign and task.reward_clip:
        yield "task.reward_sign = true with <task.reward_clip>: signs are -1, 0 and 1 already"
    if task.reward_sign and task.reward_normalization:
        yield "task.reward_sign = true with <task.reward_normalization>: the sign of a reward is the same at any scale"


def check_agent(config: Config) -> Iterator[str]:
    agent = config.agent
    if config.task.action_form == "branches" and not agent.takes_branches:
        yield (
            "<task.action_form> with <agent.kind>: Q-values of several action dimensions are learned by agent.kind = "
            '"dqn", "double_dqn" or "pqn"'
        )
    if isinstance(agent, C51) and agent.v_min >= agent.v_max:
        yield "<agent.v_min> with <agent.kind> is not below <agent.v_max>"
    if isinstance(agent, Munchausen) and agent.value_rescaling:
        yield "<agent.value_rescaling> with <agent.kind>: its log-policy would have another scale than its rewards"


def check_schedules(config: Config) -> Iterator[str]:
    optimizer, exploration = config.optimizer, config.exploration
    if config.agent.discount_end is not None and config.agent.discount == 1:
        yield "<agent.discount> with <agent.discount_end>: no factor leads from 1 - discount = 0 to anything else"
    if optimizer.schedule != "constant" and optimizer.end_learning_rate > optimizer.learning_rate:
        yield "<optimizer.end_learning_rate> is more than <optimizer.learning_rate>, and <optimizer.schedule> decays"
    if exploration.end > exploration.start:
        yield "<exploration.end> is more than <exploration.start>"
    for key in ("start", "end") if exploration.decay == "exponential" else ():
        if getattr(exploration, key) == 0:
            yield f'<exploration.{key}> is never reached by <exploration.decay>: use "linear"'


def check_ensemble(config: Config) -> Iterator[str]:
    ensemble, edges = config.ensemble, config.ensemble.partition_edges
    if ensemble.acting == "member" and config.acting.inference == "central":
        yield "<ensemble.acting> with <acting.inference>: actors get the Q-values of all members as one"
    if ensemble.target != "own" and not config.agent.has_greedy_target:
        yield (
            "<ensemble.target> with <agent.kind>: its target is not the value of one greedy action, which the members "
            "could share"
        )
    if ensemble.data == "partition" and len(edges) != ensemble.size - 1:
        yield f"<ensemble.partition_edges> has {len(edges)} values, but <ensemble.size> needs {ensemble.size - 1}"
    elif not all(low < high for low, high in pairwise(edges)):
        yield "<ensemble.partition_edges>: each must be above the one before"


def check_heartbeats(config: Config) -> Iterator[str]:
    if config.health.beat_seconds >= config.health.dead_after_seconds:
        yield (
            "<health.beat_seconds> is not below <health.dead_after_seconds>: every process would count as dead between "
            "two of its heartbeats"
        )


def _line_of_unused(config: Config, path: str, needs: Needs) -> str:
    if needs.is_of_the_agent:
        return f"<{path}> means nothing with <agent.kind>: {needs.words}"
    there = dict.fromkeys(shown(value) for key in needs.keys if (value := attrgetter(key)(config)) is not None)
    return f"<{path}> needs {needs.words}{', not ' if there else ''}{' and '.join(there)}"


def _problems_together(config: Config) -> Iterator[str]:
    if config.agent.has_replay and config.replay.backend != "in_graph":
        yield "<replay.backend> has a server for each run: give replay.backend=in_graph"
    if config.learner.schedule != "alternate":
        yield "<learner.schedule> has threads of its own for each run: give learner.schedule=alternate"
    if config.learner.strategy != "local" or config.learner.model_parallel > 1:
        yield "<learner.strategy> with <learner.model_parallel> divides a run's updates: leave them to --jobs"
    if config.ensemble.in_processes:
        yield "<ensemble.execution> has a process for each member: give another"
    if config.task.vectorization == "async":
        yield "<task.vectorization> has a process for each environment: give another"


CHECKS = (*checks_among(globals()), *STRATEGY_CHECKS)
