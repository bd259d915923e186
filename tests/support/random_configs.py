"""Random configurations: `valid_configs`, and random values of whatever a key's type allows."""

import functools
import math
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from tfdqn.config import (
    C51,
    IQN,
    MLP,
    PQN,
    QRDQN,
    Agent,
    Config,
    Ensemble,
    Exploration,
    Learner,
    Munchausen,
    NatureCNN,
    Network,
    Priorities,
    Replay,
)
from tfdqn.config.checks import unused_keys, without
from tfdqn.config.fields import kinds
from tfdqn.config.replay_checks import check_priorities

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**70), 2**70) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def values_of(allowed: inspect.Type) -> st.SearchStrategy[Any]:
    """Random values that a key's type allows."""
    match allowed:
        case inspect.Metadata(extra={"names": names, "example": example}):
            return st.sampled_from([*names, example])
        case inspect.Metadata():
            return values_of(allowed.type)
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return st.integers(allowed.ge, allowed.le)
        case inspect.FloatType():
            low = allowed.ge if allowed.gt is None else allowed.gt
            high = allowed.lt if allowed.le is None else allowed.le
            return st.floats(
                low,
                high,
                exclude_min=allowed.gt is not None,
                exclude_max=allowed.lt is not None,
                allow_nan=False,
                allow_infinity=False,
            )
        case inspect.StrType():
            return TEXT.filter(bool)
        case inspect.LiteralType():
            return st.sampled_from(allowed.values)
        case inspect.VarTupleType():
            return st.lists(values_of(allowed.item_type), max_size=4).map(tuple)
        case inspect.DictType():
            return st.dictionaries(TEXT, PLAIN, max_size=4)
        case inspect.NoneType():
            return st.none()
        case inspect.UnionType():
            return st.one_of(*map(values_of, allowed.types))
        case inspect.StructType():
            return st.one_of(*map(built, kinds(allowed.cls).values()))
    raise NotImplementedError(str(allowed))


def built(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Random structs of a type."""
    fields = msgspec.structs.fields(struct)
    return st.builds(struct, **{each.name: values_of(inspect.type_info(each.type)) for each in fields})


def with_ordered(section: Any, high: str, low: str) -> Any:
    """The same section with the larger of two values under `high`."""
    pair = sorted((getattr(section, low), getattr(section, high)))
    return msgspec.structs.replace(section, **{low: pair[0], high: pair[1]})


def falling(exploration: Exploration) -> Exploration:
    """One that decays, and by no factor to 0, which none reaches."""
    ordered: Exploration = with_ordered(exploration, "start", "end")
    return msgspec.structs.replace(ordered, decay="linear") if ordered.end == 0 else ordered


def of_several(ensemble: Ensemble) -> Ensemble:
    """One of several members, as many as the partition's edges make."""
    if ensemble.data != "partition":
        return msgspec.structs.replace(ensemble, size=max(2, ensemble.size), partition_edges=())
    edges = tuple(sorted({0.5, *ensemble.partition_edges}))
    return msgspec.structs.replace(ensemble, size=len(edges) + 1, partition_edges=edges)


def dividing_evenly(learner: Learner, share: int, networks: int, is_ensemble: bool) -> Learner:
    """One that its strategy can drive, with `share` transitions of a batch for each part."""
    processes = learner.processes
    is_split = learner.strategy in ("local", "mirrored") and not is_ensemble
    has_devices = learner.strategy not in ("multi_worker", "parameter_server")
    parts = learner.model_parallel if is_split else 1
    if learner.strategy == "averaging" and processes == networks == 1:
        networks = 2
    per_read, bound = (min(learner.updates_per_read, learner.updates_per_call), learner.max_staleness_train_steps)
    period = min(learner.averaging_period_train_steps, learner.updates_per_call)
    updates = learner.updates_per_call
    return msgspec.structs.replace(
        learner,
        model_parallel=parts,
        logical_devices=networks * parts if has_devices else 0,
        batch_size=share * processes * networks,
        updates_per_call=updates - updates % period if learner.strategy == "averaging" else updates,
        averaging_period_train_steps=period,
        updates_per_read=per_read,
        all_reduce="auto" if parts > 1 or learner.strategy in ("local", "parameter_server") else "nccl",
        max_staleness_train_steps=max(bound, per_read - 1) if bound else 0,
        precision="float32" if parts > 1 or is_ensemble else learner.precision,
        xla="auto" if parts > 1 else learner.xla,
        env_steps_per_update=4.0,
    )


def of_split_layers(network: Network, parts: int) -> Network:
    """One whose layers have units for every part."""
    if parts == 1:
        return network
    if isinstance(network, NatureCNN):
        return msgspec.structs.replace(network, noisy=False, layer_norm=False)
    widths = network.hidden_units if isinstance(network, MLP) else ()
    return MLP(hidden_units=tuple(max(parts, width) for width in widths) or (parts,))


def sharded(config: Config) -> Config:
    """Over no more servers than its replay can be: one in the graph, and for frames a divisor of the environments."""
    replace, shards, num_envs = msgspec.structs.replace, config.replay.shards, config.task.num_envs
    if config.replay.backend == "in_graph":
        return replace(config, replay=replace(config.replay, shards=1))
    if config.replay.item == "block":
        return config
    return replace(
        config,
        agent=replace(config.agent, n_step=1, n_step_end=None),
        replay=replace(config.replay, shards=math.gcd(shards, num_envs)),
    )


def learning_apart(config: Config) -> Config:
    """With its members' processes as they can be: locally, and each with a server of its own."""
    replace = msgspec.structs.replace
    if not config.ensemble.in_processes:
        return config
    if config.learner.strategy != "local":
        return replace(config, ensemble=replace(config.ensemble, execution="batched"))
    return replace(
        config,
        ensemble=replace(config.ensemble, target="own"),
        replay=replace(config.replay, backend="reverb", item="block", shards=1),
    )


def fetching_ahead(config: Config) -> Config:
    """Where batches come from Reverb to whole networks that make their updates in this process, and else not."""
    learner = config.learner
    is_here = learner.strategy in ("local", "mirrored") and not config.ensemble.in_processes
    may = is_here and learner.model_parallel == 1 and config.replay.backend == "reverb"
    ahead = may and learner.prefetch_to_device
    return msgspec.structs.replace(config, learner=msgspec.structs.replace(learner, prefetch_to_device=ahead))


def remembering(config: Config) -> Config:
    """Where its network has a memory, learning from sequences; but not as an ensemble, or in pieces."""
    replace, replay = msgspec.structs.replace, config.replay
    if not config.network.state_size:
        return config
    if config.ensemble.size > 1 or config.learner.model_parallel > 1:
        return replace(config, network=replace(config.network, memory="none"))
    period = min(replay.sequence_period, replay.sequence_length, replay.capacity // config.learner.batch_size)
    return replace(
        config,
        replay=replace(replay, item="sequence", sequence_period=period),
        acting=replace(config.acting, inference="local"),
    )


def of_sense(agent: Agent, parts: int) -> Agent:
    """One whose own keys agree, on a network in so many parts."""
    replace = msgspec.structs.replace
    if agent.discount == 1:
        agent = replace(agent, discount_end=None)
    match agent:
        case C51():
            return with_ordered(replace(agent, v_min=max(agent.v_min - 1, -1e12)), "v_max", "v_min")
        case Munchausen():
            return replace(agent, value_rescaling=0.0)
        case IQN() if parts > 1:
            return QRDQN()
    return agent


@st.composite
def valid_configs(draw: st.DrawFn) -> Config:
    """Every key random within its bounds, then the few that belong together brought into agreement."""
    config = draw(values_of(inspect.type_info(Config)))
    block_size, blocks = draw(st.integers(1, 64)), draw(st.integers(1, 8))
    min_blocks = draw(st.integers(blocks, 1000))
    capacity_blocks = draw(st.integers(max(min_blocks, 4096), 100_000))
    in_reverb = config.task.frame_stack > 1 or config.replay.item == "block"
    replace = msgspec.structs.replace
    ensemble = draw(st.sampled_from([Ensemble(), of_several(config.ensemble)]))
    few_workers = replace(config.learner, workers=draw(st.integers(1, 4)))
    learner = dividing_evenly(few_workers, block_size * blocks, draw(st.integers(1, 4)), ensemble.size > 1)
    is_alone = learner.strategy != "parameter_server" and learner.processes == 1
    if config.acting.inference == "central":
        ensemble = replace(ensemble, acting="aggregate")
    if not config.agent.has_greedy_target:
        ensemble = replace(ensemble, target="own")
    agreed: Config = replace(
        config,
        task=replace(
            config.task,
            num_envs=max(2, config.task.num_envs),
            reward_sign=False,
            action_form=config.task.action_form if config.agent.takes_branches else "product",
        ),
        optimizer=with_ordered(config.optimizer, "learning_rate", "end_learning_rate"),
        agent=of_sense(config.agent, learner.model_parallel),
        network=of_split_layers(config.network, learner.model_parallel),
        ensemble=ensemble,
        exploration=falling(config.exploration),
        replay=replace(
            config.replay,
            backend=config.replay.backend if config.replay.item == "block" and is_alone else "reverb",
            item="frames" if in_reverb and config.replay.item == "frames" else "block",
            block_size=block_size,
            capacity=block_size * capacity_blocks,
            min_size=block_size * min_blocks,
        ),
        learner=learner,
        stop=replace(config.stop, env_steps=max(200_000, config.stop.env_steps)),
        health=replace(config.health, dead_after_seconds=max(61, config.health.dead_after_seconds)),
    )
    if not config.agent.has_replay:
        return of_used_keys(without_replay(agreed))
    return of_used_keys(prioritised(fetching_ahead(sharded(remembering(learning_apart(agreed))))))


def of_used_keys(config: Config) -> Config:
    """The same, with defaults for what nothing reads."""
    return functools.reduce(without, unused_keys(config), config)


def prioritised(config: Config) -> Config:
    """By the priorities that were drawn, where they can be used, or by none."""
    return msgspec.structs.replace(config, priorities=Priorities()) if any(check_priorities(config)) else config


def without_replay(config: Config) -> Config:
    """Rollouts of whole batches, learned from by one process; what is a replay's is left alone."""
    replace = msgspec.structs.replace
    assert isinstance(config.agent, PQN)
    agent = replace(config.agent, rollout_steps=min(config.agent.rollout_steps, 40))
    return replace(
        config,
        network=MLP() if config.network.state_size else config.network,
        agent=agent,
        ensemble=Ensemble(),
        acting=replace(config.acting, actors=1, inference="local"),
        replay=Replay(),
        learner=Learner(
            batch_size=agent.rollout_steps * config.task.num_envs, schedule="alternate", xla=config.learner.xla
        ),
    )
