"""Checks across keys: one small function for each way in which keys can contradict each other.

A check takes a configuration whose keys are each valid on their own, and yields each problem as one line that names
keys and values: `<stop.env_steps>` stands for "stop.env_steps = 500000". It refuses what can't work or can't be meant,
never what is merely unwise. To add a check, write a function here, or in `task_checks.py`, `priority_checks.py`,
`strategy_checks.py` or `rollout_checks.py`, and add it to that file's tuple.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

from tfdqn.config.agent import C51, Munchausen
from tfdqn.config.priority_checks import PRIORITY_CHECKS
from tfdqn.config.rollout_checks import ROLLOUT_CHECKS
from tfdqn.config.schema import Config
from tfdqn.config.strategy_checks import STRATEGY_CHECKS
from tfdqn.config.task_checks import TASK_CHECKS
from tfdqn.config.wording import with_values

Check = Callable[[Config], Iterator[str]]

_NEVER_LEARNS = "learning would never start"


def contradiction(config: Config) -> str | None:
    """The first contradiction in `config`, in one line; None if there is none."""
    problem = next((problem for check in checks_of(config) for problem in check(config)), None)
    return problem and with_values(config, problem)


def checks_of(config: Config) -> tuple[Check, ...]:
    """The checks that apply to this configuration: those of replay or of rollouts, and those of every run."""
    return (*(REPLAY_CHECKS if config.agent.has_replay else ROLLOUT_CHECKS), *CHECKS)


def uses_blocks(config: Config) -> bool:
    """Whether replay stores blocks, of `replay.block_size`: the in-graph table and other items have none."""
    return config.replay.backend == "reverb" and config.replay.item == "block"


def for_each_shard(config: Config) -> str:
    return " for each of <replay.shards>" if config.replay.shards > 1 else ""


def frames_divide_among_shards(config: Config) -> Iterator[str]:
    if config.replay.item == "frames" and config.task.num_envs % config.replay.shards:
        yield (
            "<replay.item> keeps each environment's history on one server: <task.num_envs> can't be divided evenly "
            "by <replay.shards>"
        )


def frames_reach_every_shard(config: Config) -> Iterator[str]:
    # A transition is finished n steps after it began: until then a server may have nothing to sample.
    longest = "n_step_end" if (config.agent.n_step_end or 0) > config.agent.n_step else "n_step"
    enough = (getattr(config.agent, longest) - 1) * config.task.num_envs * config.acting.actors
    replay = config.replay
    if replay.item == "frames" and replay.shards > 1 and replay.min_size < enough:
        yield (
            f"<replay.min_size> is less than {enough}: with <replay.item>, <replay.shards>, <agent.{longest}>, "
            "<task.num_envs> and <acting.actors> a server may have nothing to sample when learning starts"
        )


def table_holds_a_block(config: Config) -> Iterator[str]:
    replay = config.replay
    if uses_blocks(config) and replay.block_size * replay.shards > replay.capacity:
        yield f"<replay.block_size>{for_each_shard(config)} is more than <replay.capacity>"


def table_holds_a_batch(config: Config) -> Iterator[str]:
    if config.replay.item == "sequence":
        if config.learner.batch_size * config.replay.sequence_period > config.replay.capacity:
            yield "<learner.batch_size> sequences of <replay.sequence_period> each are more than <replay.capacity>"
    elif config.learner.batch_size > config.replay.capacity:
        yield "<learner.batch_size> is more than <replay.capacity>"


def blocks_divide_the_batch(config: Config) -> Iterator[str]:
    if uses_blocks(config) and config.learner.batch_size % config.replay.block_size:
        yield "<learner.batch_size> isn't a multiple of <replay.block_size>"


def blocks_divide_a_share(config: Config) -> Iterator[str]:
    learner = config.learner
    sampled, processes = learner.updates_per_call * learner.batch_size, learner.processes
    if uses_blocks(config) and processes > 1 and sampled % (processes * config.replay.block_size):
        yield (
            "<learner.strategy> divides <learner.updates_per_call> batches of <learner.batch_size> among "
            "<learner.workers>, and a share is not a whole number of blocks of <replay.block_size>"
        )


def table_holds_the_minimum(config: Config) -> Iterator[str]:
    replay = config.replay
    if replay.min_size > replay.capacity:
        yield f"<replay.min_size> is more than <replay.capacity>: {_NEVER_LEARNS}"
    needed, held = -(-replay.min_size // replay.block_size), replay.capacity // replay.block_size
    if uses_blocks(config) and needed > held:
        yield (
            f"<replay.min_size> needs {needed} blocks of <replay.block_size>, and <replay.capacity> holds {held}: "
            f"{_NEVER_LEARNS}"
        )


def an_update_is_due_before_the_end(config: Config) -> Iterator[str]:
    replay, learner = config.replay, config.learner
    size = replay.block_size if uses_blocks(config) else 1
    unit = size * replay.shards
    min_size = min(-(-replay.min_size // unit), replay.capacity // unit) * unit
    needed = min_size + learner.updates_per_call * learner.env_steps_per_update
    if needed > config.stop.env_steps:
        blocks = f" ({min_size} in blocks of replay.block_size = {size}{for_each_shard(config)})"
        yield (
            f"<replay.min_size>{blocks if min_size > replay.min_size else ''} and then <learner.updates_per_call> at "
            f"<learner.env_steps_per_update> need {needed:g} environment steps, more than <stop.env_steps>: no update "
            "would be made"
        )


def frames_are_stacks_in_reverb(config: Config) -> Iterator[str]:
    if config.replay.item == "frames" and config.replay.backend != "reverb":
        yield f'<replay.item> needs replay.backend = "reverb", not "{config.replay.backend}"'
    if config.replay.item == "frames" and config.task.frame_stack == 1:
        yield "<replay.item> needs task.frame_stack above 1, not 1: it stores the frames of a stack"


def sequences_are_of_a_memory(config: Config) -> Iterator[str]:
    has_memory, has_sequences = config.network.state_size > 0, config.replay.item == "sequence"
    if has_sequences and not has_memory:
        yield "<replay.item> needs a network with a memory: network.memory"
    if has_memory and not has_sequences:
        yield f'<network.memory> learns from replay.item = "sequence", not "{config.replay.item}"'


def sequences_leave_no_step_out(config: Config) -> Iterator[str]:
    if config.replay.item == "sequence" and config.replay.sequence_period > config.replay.sequence_length:
        yield (
            "<replay.item>: <replay.sequence_period> is more than <replay.sequence_length>, and steps between two "
            "would be in neither"
        )


def a_scheduled_discount_is_below_one(config: Config) -> Iterator[str]:
    if config.agent.discount_end is not None and config.agent.discount == 1:
        yield "<agent.discount> with <agent.discount_end>: no factor leads from 1 - discount = 0 to anything else"


def a_memory_is_of_one_whole_network(config: Config) -> Iterator[str]:
    if not config.network.state_size:
        return
    if config.ensemble.size > 1:
        yield "<ensemble.size> with <network.memory>: the networks of an ensemble have no memory"
    if config.learner.model_parallel > 1:
        yield "<learner.model_parallel> with <network.memory>: a memory can't be split over devices"


def a_memory_is_where_its_environments_are(config: Config) -> Iterator[str]:
    if config.network.state_size and config.acting.inference == "central":
        yield "<acting.inference> with <network.memory>: the memory's state, and so the network, is kept by the actor"


def learning_rate_decays(config: Config) -> Iterator[str]:
    optimizer = config.optimizer
    if optimizer.schedule != "constant" and optimizer.end_learning_rate > optimizer.learning_rate:
        yield "<optimizer.end_learning_rate> is more than <optimizer.learning_rate>, and <optimizer.schedule> decays"


def exploration_decays(config: Config) -> Iterator[str]:
    if config.exploration.end > config.exploration.start:
        yield "<exploration.end> is more than <exploration.start>"


def exponential_decay_stays_above_zero(config: Config) -> Iterator[str]:
    for key in ("start", "end"):
        if config.exploration.decay == "exponential" and getattr(config.exploration, key) == 0:
            yield f'<exploration.{key}> is never reached by <exploration.decay>: use "linear"'


def a_member_acts_where_its_environments_are(config: Config) -> Iterator[str]:
    if config.ensemble.acting == "member" and config.acting.inference == "central":
        yield "<ensemble.acting> with <acting.inference>: actors get the Q-values of all members as one"


def a_shared_target_is_of_one_action(config: Config) -> Iterator[str]:
    if config.ensemble.target != "own" and not config.agent.has_greedy_target:
        yield (
            "<ensemble.target> with <agent.kind>: its target is not the value of one greedy action, which the members "
            "could share"
        )


def atoms_are_in_order(config: Config) -> Iterator[str]:
    if isinstance(config.agent, C51) and config.agent.v_min >= config.agent.v_max:
        yield "<agent.v_min> with <agent.kind> is not below <agent.v_max>"


def a_soft_policy_is_of_values_as_they_are(config: Config) -> Iterator[str]:
    if isinstance(config.agent, Munchausen) and config.agent.value_rescaling:
        yield "<agent.value_rescaling> with <agent.kind>: its log-policy would have another scale than its rewards"


def edges_part_the_states(config: Config) -> Iterator[str]:
    ensemble, edges = config.ensemble, config.ensemble.partition_edges
    if ensemble.data == "partition" and len(edges) != ensemble.size - 1:
        yield f"<ensemble.partition_edges> has {len(edges)} values, but <ensemble.size> needs {ensemble.size - 1}"
    elif not all(low < high for low, high in pairwise(edges)):
        yield "<ensemble.partition_edges>: each must be above the one before"


def a_heartbeat_comes_before_death(config: Config) -> Iterator[str]:
    if config.health.beat_seconds >= config.health.dead_after_seconds:
        yield (
            "<health.beat_seconds> is not below <health.dead_after_seconds>: every process would count as dead between "
            "two of its heartbeats"
        )


REPLAY_CHECKS: tuple[Check, ...] = (
    table_holds_a_block,
    table_holds_a_batch,
    blocks_divide_the_batch,
    blocks_divide_a_share,
    table_holds_the_minimum,
    an_update_is_due_before_the_end,
    frames_are_stacks_in_reverb,
    frames_divide_among_shards,
    frames_reach_every_shard,
    sequences_are_of_a_memory,
    sequences_leave_no_step_out,
    a_memory_is_of_one_whole_network,
    a_memory_is_where_its_environments_are,
    *PRIORITY_CHECKS,
)
CHECKS: tuple[Check, ...] = (
    *TASK_CHECKS,
    a_scheduled_discount_is_below_one,
    learning_rate_decays,
    exploration_decays,
    exponential_decay_stays_above_zero,
    a_member_acts_where_its_environments_are,
    a_shared_target_is_of_one_action,
    atoms_are_in_order,
    a_soft_policy_is_of_values_as_they_are,
    edges_part_the_states,
    a_heartbeat_comes_before_death,
    *STRATEGY_CHECKS,
)
