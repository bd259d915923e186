"""What a configuration may say, but is hardly meant to: `doubts` warns of it."""

from collections.abc import Iterator

from tfdqn.config.agent import PQN
from tfdqn.config.replay_checks import uses_blocks
from tfdqn.config.schema import Config
from tfdqn.errors import counted

_MUCH = 2.0  # times the run's length
_FEW = 16  # blocks for the batches of one call


def doubts(config: Config) -> Iterator[str]:
    """Warnings of a run, each in one line."""
    yield from filter(None, (cut_short(config), few_blocks(config)))


def few_blocks(config: Config) -> str:
    """A warning, in one line, if the batches of a call are so few blocks of replay that they are hardly random."""
    size = config.replay.block_size
    examples = config.updates_per_call * config.learner.batch_size
    if not (config.agent.has_replay and uses_blocks(config)) or size == 1 or examples >= _FEW * size:
        return ""
    calls = config.updates_per_call
    batches = "each batch consists" if calls == 1 else f"each {calls} batches together consist"
    return (
        f"{batches} of {counted(examples // size, 'block')} of {size} transitions that were stored together: "
        "replay.block_size = 1 draws each by itself"
    )


def cut_short(config: Config) -> str:
    """A warning, in one line, if the run ends before the middle of schedules; "" otherwise."""
    found = [
        f"{100 * steps / length:.2g} % of {key} = {length:,}"
        for key, length, steps in _schedules(config)
        if length > _MUCH * steps
    ]
    return f"stop.env_steps = {config.stop.env_steps:,} ends the run after {' and '.join(found)}" if found else ""


def _schedules(config: Config) -> Iterator[tuple[str, int, float]]:
    """Each schedule's key, its length, and the run's length in the same unit."""
    agent, exploration, optimizer, priorities = config.agent, config.exploration, config.optimizer, config.priorities
    env_steps, train_steps = config.stop.env_steps, _train_steps(config)
    if exploration.start != exploration.end:
        yield "exploration.decay_env_steps", exploration.decay_env_steps, env_steps
    if agent.n_step_end is not None or agent.discount_end is not None:
        yield "agent.horizon_env_steps", agent.horizon_env_steps, env_steps
    if optimizer.schedule != "constant":
        yield "optimizer.decay_train_steps", optimizer.decay_train_steps, train_steps
    if priorities.are_used and priorities.importance_start != priorities.importance_end:
        yield "priorities.importance_train_steps", priorities.importance_train_steps, train_steps


def _train_steps(config: Config) -> float:
    """About how many updates the run makes."""
    env_steps = config.stop.env_steps
    if isinstance(config.agent, PQN):
        return env_steps / (config.agent.rollout_steps * config.task.num_envs) * config.updates_per_call
    return max(0, env_steps - config.replay.min_size) / config.learner.env_steps_per_update
