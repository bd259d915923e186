"""Checks across the keys that divide the updates among devices and processes. Each is like those of `checks.py`.

The number of GPUs, and the processes that `TF_CONFIG` lists, are not known here.
"""

from collections.abc import Iterator
from operator import attrgetter

from tfdqn.config.agent import IQN
from tfdqn.config.network import MLP, DeepNetwork, Impala, Linear
from tfdqn.config.schema import Config, checks_among
from tfdqn.config.wording import either

# Strategies that can't train a network that is split over devices, and why.
_WHOLE_NETWORKS = {
    "multi_worker": "whose processes each keep every weight on one device",
    "parameter_server": "whose servers share out the weights already",
    "averaging": "whose replicas each keep every weight on one device",
}


def check_shared_table(config: Config) -> Iterator[str]:
    is_shared = config.learner.strategy == "parameter_server" or config.learner.processes > 1
    if config.replay.backend != "reverb" and is_shared:
        yield (
            "<replay.backend> with <learner.strategy> and <learner.workers>: other processes can't reach a table in "
            'the chief\'s graph; give replay.backend = "reverb"'
        )


def check_model_parallel(config: Config) -> Iterator[str]:
    learner, network = config.learner, config.network
    if learner.model_parallel == 1:
        return
    if learner.strategy in _WHOLE_NETWORKS:
        yield (
            f'<learner.model_parallel> needs learner.strategy = "local" or "mirrored", not "{learner.strategy}", '
            f"{_WHOLE_NETWORKS[learner.strategy]}"
        )
    if config.ensemble.size > 1:
        yield (
            "<ensemble.size> with <learner.model_parallel>: the layers of an ensemble are stacks of its members' "
            "layers, which can't be split"
        )
    if isinstance(config.agent, IQN):
        yield (
            "<agent.kind> with <learner.model_parallel>: its embedding multiplies all features, which several devices "
            "share"
        )
    if isinstance(network, Impala):
        yield 'network.kind = "impala" with <learner.model_parallel>: residual blocks can\'t be split over devices'
    if isinstance(network, DeepNetwork):
        for key, layers in {"noisy": "noisy layers", "layer_norm": "layers that are normalised"}.items():
            if getattr(network, key):
                yield f"network.{key} = true with <learner.model_parallel>: {layers} can't be split over devices"
    if learner.xla == "on":
        yield "<learner.xla> with <learner.model_parallel>: XLA can't compile layers that several devices share"


def check_model_parallel_units(config: Config) -> Iterator[str]:
    """Checks an MLP or a linear network; layers of other networks check themselves when they are built."""
    network, parts = config.network, config.learner.model_parallel
    if parts == 1 or not isinstance(network, MLP | Linear):
        return
    units = network.hidden_units[::2] if isinstance(network, MLP) else ()  # the others are split by their inputs
    name = f"hidden_units = {list(network.hidden_units)}" if isinstance(network, MLP) else 'kind = "linear"'
    if not units:
        yield f"network.{name}: there is no hidden layer to split over <learner.model_parallel> devices"
    elif min(units) < parts:
        yield f"network.{name}: a layer of {min(units)} units can't be split over <learner.model_parallel> devices"


def check_logical_devices(config: Config) -> Iterator[str]:
    learner = config.learner
    if learner.logical_devices > 1 and learner.strategy in ("multi_worker", "parameter_server"):
        yield (
            "<learner.logical_devices> does nothing for <learner.strategy>, each of whose processes takes its GPUs or "
            "its whole CPU"
        )
    if learner.logical_devices % learner.model_parallel:
        yield "<learner.logical_devices> isn't a multiple of <learner.model_parallel>, the devices of one network"


def check_averaging(config: Config) -> Iterator[str]:
    learner = config.learner
    if learner.strategy != "averaging":
        return
    if learner.workers == learner.logical_devices == 1:
        yield "<learner.strategy> with <learner.workers> and <learner.logical_devices>: one replica is its own mean"
    if learner.updates_per_call % learner.averaging_period_train_steps:
        yield (
            "<learner.strategy>: <learner.updates_per_call> isn't a multiple of <learner.averaging_period_train_steps>"
        )


def check_parameter_server(config: Config) -> Iterator[str]:
    learner = config.learner
    if learner.strategy != "parameter_server":
        return
    if learner.updates_per_read > learner.updates_per_call:
        yield (
            "<learner.strategy>: <learner.updates_per_read> is more than <learner.updates_per_call>, the updates that "
            "are due at a time"
        )
    least = learner.updates_per_read - 1
    if 0 < learner.max_staleness_train_steps < least:
        yield (
            "<learner.strategy>: <learner.max_staleness_train_steps> would drop the last gradient of every "
            f"<learner.updates_per_read>, whose staleness is at least {least}"
        )


def check_batch_size(config: Config) -> Iterator[str]:
    learner, processes, replicas = config.learner, config.learner.processes, 1
    if learner.strategy in ("mirrored", "averaging") and learner.logical_devices:
        replicas = learner.logical_devices // learner.model_parallel
    if learner.batch_size % (processes * replicas):
        divisors = {
            f"learner.workers = {processes}": processes,
            "<learner.logical_devices>": replicas,
            "<learner.model_parallel>": learner.model_parallel,
        }
        yield (
            f"<learner.batch_size> can't be divided evenly among the {processes * replicas} parts of "
            f"<learner.strategy> with {' and '.join(key for key, count in divisors.items() if count > 1)}"
        )


def check_all_reduce(config: Config) -> Iterator[str]:
    known = {
        "mirrored": ("auto", "nccl", "hierarchical_copy", "one_device"),
        "multi_worker": ("auto", "nccl", "ring"),
        "averaging": ("auto", "nccl", "ring"),
    }.get(config.learner.strategy, ("auto",))
    chosen = "<learner.strategy>"
    if config.learner.model_parallel > 1:
        known = ("auto",)  # networks in pieces are summed piece by piece, without `tf.distribute`
        chosen += " and <learner.model_parallel>"
    if config.learner.all_reduce not in known:
        yield f"<learner.all_reduce> with {chosen}: must be {either(known)}"


def check_ensemble_processes(config: Config) -> Iterator[str]:
    if not config.ensemble.in_processes:
        return
    needed = {"learner.strategy": "local", "ensemble.target": "own", "replay.backend": "reverb", "replay.item": "block"}
    for key, only in needed.items():
        if (given := attrgetter(key)(config)) != only:
            yield f'<ensemble.execution> needs {key} = "{only}", not "{given}"'
    if config.replay.shards > 1:
        yield (
            "<ensemble.execution> with <replay.shards>: each of <ensemble.size> members has a shard of its own already"
        )


def check_precision(config: Config) -> Iterator[str]:
    is_plain = config.ensemble.size == config.learner.model_parallel == 1
    if config.learner.precision != "float32" and not is_plain:
        yield (
            "<learner.precision> with <ensemble.size> and <learner.model_parallel>: the layers of ensembles and split "
            "networks compute in float32 alone"
        )


def check_prefetch_to_device(config: Config) -> Iterator[str]:
    needed: dict[str, tuple[str | int, ...]] = {
        "learner.strategy": ("local", "mirrored"),
        "learner.model_parallel": (1,),
        "replay.backend": ("reverb",),
        "ensemble.execution": ("batched",),
    }
    for key, allowed in needed.items() if config.learner.prefetch_to_device else ():
        if (given := attrgetter(key)(config)) not in allowed:
            yield f"learner.prefetch_to_device = true needs {key} = {either(allowed)}, not {given}"


STRATEGY_CHECKS = checks_among(globals())
