"""Checks across the keys of replay and priorities, or of the rollouts that an agent without replay learns from.

Each is like those of `checks.py`.
"""

from collections.abc import Iterator

from tfdqn.config.agent import PQN, Munchausen, TDAgent
from tfdqn.config.schema import Config, checks_among

_NEVER_LEARNS = "learning would never start"


def uses_blocks(config: Config) -> bool:
    """Whether replay stores blocks, of `replay.block_size`: the in-graph table and other items have none."""
    return config.replay.backend == "reverb" and config.replay.item == "block"


def for_each_shard(config: Config) -> str:
    return " for each of <replay.shards>" if config.replay.shards > 1 else ""


def check_batch(config: Config) -> Iterator[str]:
    replay, learner = config.replay, config.learner
    if replay.item == "sequence":
        if learner.batch_size * replay.sequence_period > replay.capacity:
            yield "<learner.batch_size> sequences of <replay.sequence_period> each are more than <replay.capacity>"
    elif learner.batch_size > replay.capacity:
        yield "<learner.batch_size> is more than <replay.capacity>"


def check_blocks(config: Config) -> Iterator[str]:
    replay, learner = config.replay, config.learner
    if not uses_blocks(config):
        return
    if replay.block_size * replay.shards > replay.capacity:
        yield f"<replay.block_size>{for_each_shard(config)} is more than <replay.capacity>"
    if learner.batch_size % replay.block_size:
        yield "<learner.batch_size> isn't a multiple of <replay.block_size>"
    processes = learner.processes
    if processes > 1 and learner.updates_per_call * learner.batch_size % (processes * replay.block_size):
        yield (
            "<learner.strategy> divides <learner.updates_per_call> batches of <learner.batch_size> among "
            "<learner.workers>, and a share is not a whole number of blocks of <replay.block_size>"
        )


def check_min_size(config: Config) -> Iterator[str]:
    replay = config.replay
    if replay.min_size > replay.capacity:
        yield f"<replay.min_size> is more than <replay.capacity>: {_NEVER_LEARNS}"
    needed, held = -(-replay.min_size // replay.block_size), replay.capacity // replay.block_size
    if uses_blocks(config) and needed > held:
        yield (
            f"<replay.min_size> needs {needed} blocks of <replay.block_size>, and <replay.capacity> holds {held}: "
            f"{_NEVER_LEARNS}"
        )


def check_first_update(config: Config) -> Iterator[str]:
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


def check_frames(config: Config) -> Iterator[str]:
    replay, agent, num_envs = config.replay, config.agent, config.task.num_envs
    if replay.item != "frames":
        return
    if replay.backend != "reverb":
        yield f'<replay.item> needs replay.backend = "reverb", not "{replay.backend}"'
    if config.task.frame_stack == 1:
        yield "<replay.item> needs task.frame_stack above 1, not 1: it stores the frames of a stack"
    if num_envs % replay.shards:
        yield (
            "<replay.item> keeps each environment's history on one server: <task.num_envs> can't be divided evenly "
            "by <replay.shards>"
        )
    # A transition is finished n steps after it began: until then a server may have nothing to sample.
    longest = "n_step_end" if (agent.n_step_end or 0) > agent.n_step else "n_step"
    enough = (getattr(agent, longest) - 1) * num_envs * config.acting.actors
    if replay.shards > 1 and replay.min_size < enough:
        yield (
            f"<replay.min_size> is less than {enough}: with <replay.item>, <replay.shards>, <agent.{longest}>, "
            "<task.num_envs> and <acting.actors> a server may have nothing to sample when learning starts"
        )


def check_memory(config: Config) -> Iterator[str]:
    replay, has_memory, has_sequences = config.replay, config.network.state_size > 0, config.replay.item == "sequence"
    if has_sequences and not has_memory:
        yield "<replay.item> needs a network with a memory: network.memory"
    if has_sequences and replay.sequence_period > replay.sequence_length:
        yield (
            "<replay.item>: <replay.sequence_period> is more than <replay.sequence_length>, and steps between two "
            "would be in neither"
        )
    if not has_memory:
        return
    if not has_sequences:
        yield f'<network.memory> learns from replay.item = "sequence", not "{replay.item}"'
    if config.ensemble.size > 1:
        yield "<ensemble.size> with <network.memory>: the networks of an ensemble have no memory"
    if config.learner.model_parallel > 1:
        yield "<learner.model_parallel> with <network.memory>: a memory can't be split over devices"
    if config.acting.inference == "central":
        yield "<acting.inference> with <network.memory>: the memory's state, and so the network, is kept by the actor"


def check_priorities(config: Config) -> Iterator[str]:
    priorities, size = config.priorities, config.replay.block_size
    if priorities.are_used and uses_blocks(config) and size > 1:
        yield (
            f"<priorities.exponent> needs replay.block_size = 1, not {size}: transitions of one block "
            "would share a priority"
        )
    if priorities.new_items == "actor":
        yield from _priorities_of_actors(config)
    if priorities.importance_end < priorities.importance_start:
        yield "<priorities.importance_end> is less than <priorities.importance_start>: the correction only grows"


def _priorities_of_actors(config: Config) -> Iterator[str]:
    agent, ensemble, item = config.agent, config.ensemble, config.replay.item
    if item not in ("block", "frames"):
        yield (
            f'<priorities.new_items> needs replay.item = "block" or "frames", not "{item}": an actor knows the errors '
            "of single transitions"
        )
    if not isinstance(agent, TDAgent) or isinstance(agent, Munchausen) or agent.value_rescaling:
        yield (
            "<priorities.new_items> with <agent.kind>: an actor knows the errors of Q-values that are neither "
            "distributions nor rescaled, and of targets without Munchausen's bonus and soft value"
        )
    if ensemble.size > 1 and (ensemble.aggregation, ensemble.acting) == ("majority", "aggregate"):
        yield "<priorities.new_items> with <ensemble.size> and <ensemble.aggregation>: votes are no values"


def check_rollouts(config: Config) -> Iterator[str]:
    agent, learner, acting = config.agent, config.learner, config.acting
    if learner.schedule != "alternate":
        yield (
            '<agent.kind> needs learner.schedule = "alternate", not "overlap": one network acts throughout a rollout; '
            "give learner.schedule=alternate"
        )
    if acting.actors > 1:
        yield "<acting.actors> with <agent.kind>: a rollout is one actor's; task.num_envs gives it more environments"
    if acting.inference != "local":
        yield "<acting.inference> with <agent.kind>: it acts in the process that learns, which has the weights"
    if learner.strategy not in ("local", "mirrored", "multi_worker"):
        yield (
            '<agent.kind> needs learner.strategy = "local", "mirrored" or "multi_worker", not '
            f'"{learner.strategy}": a rollout is learned from in lockstep, and then discarded'
        )
    if config.network.state_size > 0:
        yield '<agent.kind>: a network with a memory learns from replay.item = "sequence", and there is no replay'
    if learner.model_parallel > 1:
        yield "<learner.model_parallel> with <agent.kind>: a network in pieces learns from replay alone"
    if config.ensemble.size > 1:
        yield "<ensemble.size> with <agent.kind>: its targets are the Q-values of the one network that acted"
    assert isinstance(agent, PQN)
    size = agent.rollout_steps * config.task.num_envs
    transitions = f"<agent.kind>: <agent.rollout_steps> of <task.num_envs> are {size} transitions"
    if size % learner.batch_size:
        yield f"{transitions}, which isn't a multiple of <learner.batch_size>"
    if size > config.stop.env_steps:
        yield f"{transitions}, more than <stop.env_steps>: no update would be made"


ROLLOUT_CHECKS = (check_rollouts,)
REPLAY_CHECKS = tuple(each for each in checks_among(globals()) if each is not check_rollouts)
