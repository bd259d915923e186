"""What must hold between keys: each contradiction that a configuration can contain, one small function each.

A check takes a configuration whose keys are each valid on their own, and returns one line that names the keys
and their values, or None. It refuses what can't work or can't be meant, never what is merely unwise.
"""

from collections.abc import Callable
from itertools import pairwise

from tfdqn.config.agent import Ensemble
from tfdqn.config.exploration import EpsilonGreedy
from tfdqn.config.schema import Config
from tfdqn.config.strategy_checks import STRATEGY_CHECKS, learning_processes

_NEVER_LEARNS = "learning would never start"


def contradiction(config: Config) -> str | None:
    """The first contradiction in `config`, in one line; None where there is none."""
    return next((problem for check in CHECKS if (problem := check(config))), None)


def uses_blocks(config: Config) -> bool:
    """Whether `replay.block_size` means anything: the graph's table and `frames` have no blocks."""
    return config.replay.backend == "reverb" and config.replay.item == "block"


def shards_are_reverbs(config: Config) -> str | None:
    replay = config.replay
    if replay.shards > 1 and replay.backend != "reverb":
        return f'replay.shards = {replay.shards} needs replay.backend = "reverb", not "{replay.backend}"'
    return None


def frames_divide_among_shards(config: Config) -> str | None:
    shards, num_envs = config.replay.shards, config.task.num_envs
    if config.replay.item == "frames" and num_envs % shards:
        return (
            f'replay.item = "frames" keeps each environment\'s history on one server: task.num_envs = {num_envs} '
            f"can't be divided evenly by replay.shards = {shards}"
        )
    return None


def frames_reach_every_shard(config: Config) -> str | None:
    replay, n, num_envs, actors = (
        config.replay,
        config.agent.n_step,
        config.task.num_envs,
        config.acting.actors,
    )
    enough = (
        (n - 1) * num_envs * actors
    )  # before the n-th step a server may have nothing, where episodes go on
    if replay.item == "frames" and replay.shards > 1 and replay.min_size < enough:
        return (
            f'replay.min_size = {replay.min_size} is less than {enough}: with replay.item = "frames", '
            f"replay.shards = {replay.shards}, agent.n_step = {n}, task.num_envs = {num_envs} and acting.actors = "
            f"{actors} a server may have nothing to sample when learning starts"
        )
    return None


def table_holds_a_block(config: Config) -> str | None:
    capacity, block_size, shards = config.replay.capacity, config.replay.block_size, config.replay.shards
    if uses_blocks(config) and block_size * shards > capacity:
        each = f" for each of replay.shards = {shards}" if shards > 1 else ""
        return f"replay.block_size = {block_size}{each} is more than replay.capacity = {capacity}"
    return None


def table_holds_a_batch(config: Config) -> str | None:
    batch_size, capacity = config.learner.batch_size, config.replay.capacity
    if batch_size > capacity:
        return f"learner.batch_size = {batch_size} is more than replay.capacity = {capacity}"
    return None


def blocks_divide_the_batch(config: Config) -> str | None:
    batch_size, block_size = config.learner.batch_size, config.replay.block_size
    if uses_blocks(config) and batch_size % block_size:
        return f"learner.batch_size = {batch_size} isn't a multiple of replay.block_size = {block_size}"
    return None


def blocks_divide_a_share(config: Config) -> str | None:
    learner, block_size = config.learner, config.replay.block_size
    processes = learning_processes(config)
    sampled = learner.updates_per_call * learner.batch_size
    if uses_blocks(config) and processes > 1 and sampled % (processes * block_size):
        return (
            f'learner.strategy = "{learner.strategy}" divides learner.updates_per_call = '
            f"{learner.updates_per_call} batches of learner.batch_size = {learner.batch_size} among "
            f"learner.workers = {processes}, and a share isn't whole blocks of replay.block_size = {block_size}"
        )
    return None


def table_holds_the_minimum(config: Config) -> str | None:
    min_size, capacity = config.replay.min_size, config.replay.capacity
    if min_size > capacity:
        return f"replay.min_size = {min_size} is more than replay.capacity = {capacity}: {_NEVER_LEARNS}"
    block_size = config.replay.block_size
    needed, held = -(-min_size // block_size), capacity // block_size
    if uses_blocks(config) and needed > held:
        return (
            f"replay.min_size = {min_size} needs {needed} blocks of replay.block_size = {block_size}, "
            f"and replay.capacity = {capacity} holds {held}: {_NEVER_LEARNS}"
        )
    return None


def an_update_is_due_before_the_end(config: Config) -> str | None:
    replay, learner, env_steps = config.replay, config.learner, config.stop.env_steps
    size = replay.block_size if uses_blocks(config) else 1
    unit = size * replay.shards
    min_size = min(-(-replay.min_size // unit), replay.capacity // unit) * unit
    needed = min_size + learner.updates_per_call * learner.env_steps_per_update
    if needed > env_steps:
        each = f" for each of replay.shards = {replay.shards}" if replay.shards > 1 else ""
        in_blocks = (
            f" ({min_size} in blocks of replay.block_size = {size}{each})"
            if min_size > replay.min_size
            else ""
        )
        return (
            f"replay.min_size = {replay.min_size}{in_blocks} and then learner.updates_per_call = "
            f"{learner.updates_per_call} at learner.env_steps_per_update = {learner.env_steps_per_update:g} "
            f"need {needed:g} environment steps, more than stop.env_steps = {env_steps}: no update would be made"
        )
    return None


def frames_are_stacks_in_reverb(config: Config) -> str | None:
    if config.replay.item != "frames":
        return None
    if config.replay.backend != "reverb":
        return f'replay.item = "frames" needs replay.backend = "reverb", not "{config.replay.backend}"'
    if config.task.frame_stack == 1:
        return 'replay.item = "frames" needs task.frame_stack above 1, not 1: frames of a stack'
    return None


def learning_rate_decays(config: Config) -> str | None:
    optimizer = config.optimizer
    if optimizer.schedule != "constant" and optimizer.end_learning_rate > optimizer.learning_rate:
        return (
            f"optimizer.end_learning_rate = {optimizer.end_learning_rate:g} is more than "
            f"optimizer.learning_rate = {optimizer.learning_rate:g}, and optimizer.schedule = "
            f'"{optimizer.schedule}" decays'
        )
    return None


def exploration_decays(config: Config) -> str | None:
    start, end = config.exploration.start, config.exploration.end
    if end > start:
        return f"exploration.end = {end:g} is more than exploration.start = {start:g}"
    return None


def exponential_decay_stays_above_zero(config: Config) -> str | None:
    exploration = config.exploration
    for key in ("start", "end"):
        if exploration.decay == "exponential" and getattr(exploration, key) == 0:
            return (
                f'exploration.{key} = 0 is never reached by exploration.decay = "exponential": use "linear"'
            )
    return None


def ladder_has_rungs(config: Config) -> str | None:
    exploration, num_envs, actors = config.exploration, config.task.num_envs, config.acting.actors
    if isinstance(exploration, EpsilonGreedy) and exploration.ladder_alpha > 0 and num_envs * actors == 1:
        return (
            f"exploration.ladder_alpha = {exploration.ladder_alpha:g} needs task.num_envs or acting.actors "
            "above 1, not 1"
        )
    return None


def an_ensemble_has_several_units(config: Config) -> str | None:
    ensemble, plain = config.ensemble, Ensemble()
    if ensemble.size > 1:
        return None
    for key in ("aggregation", "target", "execution"):
        if getattr(ensemble, key) != getattr(plain, key):
            return f'ensemble.{key} = "{getattr(ensemble, key)}" needs ensemble.size above 1, not 1'
    if ensemble.data in ("hash", "partition"):
        return f'ensemble.data = "{ensemble.data}" needs ensemble.size above 1, not 1: it divides the states'
    return None


def a_shared_target_is_of_one_action(config: Config) -> str | None:
    ensemble, agent = config.ensemble, config.agent
    if ensemble.target != "own" and not agent.has_greedy_target:
        return (
            f'ensemble.target = "{ensemble.target}" with agent.kind = "{agent.kind}": its target is not the value of '
            f"one best action, on which the members could agree"
        )
    return None


def edges_part_the_states(config: Config) -> str | None:
    ensemble, edges = config.ensemble, config.ensemble.partition_edges
    given = f"ensemble.partition_edges = {list(edges)}"
    if ensemble.data != "partition":
        return f'{given} needs ensemble.data = "partition", not "{ensemble.data}"' if edges else None
    if len(edges) != ensemble.size - 1:
        return f"{given} has {len(edges)} of them where ensemble.size = {ensemble.size} needs {ensemble.size - 1}"
    if not all(low < high for low, high in pairwise(edges)):
        return f"{given}: each must be above the one before"
    return None


def a_beat_comes_before_death(config: Config) -> str | None:
    health = config.health
    if health.beat_seconds >= health.dead_after_seconds:
        return (
            f"health.beat_seconds = {health.beat_seconds:g} is not below health.dead_after_seconds = "
            f"{health.dead_after_seconds:g}: every process would count as dead between two of its heartbeats"
        )
    return None


CHECKS: tuple[Callable[[Config], str | None], ...] = (
    shards_are_reverbs,
    table_holds_a_block,
    table_holds_a_batch,
    blocks_divide_the_batch,
    blocks_divide_a_share,
    table_holds_the_minimum,
    an_update_is_due_before_the_end,
    frames_are_stacks_in_reverb,
    frames_divide_among_shards,
    frames_reach_every_shard,
    learning_rate_decays,
    exploration_decays,
    exponential_decay_stays_above_zero,
    ladder_has_rungs,
    an_ensemble_has_several_units,
    a_shared_target_is_of_one_action,
    edges_part_the_states,
    a_beat_comes_before_death,
    *STRATEGY_CHECKS,
)
