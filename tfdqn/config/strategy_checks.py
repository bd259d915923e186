"""What must hold between the keys that divide the updates among devices and processes.

Each check is like those of `checks.py`: a configuration → one line that names keys and values, or None. How
many GPUs there are, and which processes `TF_CONFIG` names, isn't known here.
"""

from collections.abc import Callable

from tfdqn.config.network import MLP, NatureCNN
from tfdqn.config.schema import Config

# Why a network that is split over devices can't be trained so; the strategies that are missing here train it.
_WHOLE_NETWORKS = {
    "multi_worker": "whose processes each keep every weight on one device",
    "parameter_server": "whose servers share out the weights already",
    "averaging": "whose replicas each keep every weight on one device",
}


def learning_processes(config: Config) -> int:
    """How many processes compute gradients from a part of each batch, or of their own, as the keys say."""
    return config.learner.workers if config.learner.strategy in ("multi_worker", "averaging") else 1


def processes_share_a_reverb_table(config: Config) -> str | None:
    learner, backend = config.learner, config.replay.backend
    is_shared = learner.strategy == "parameter_server" or learning_processes(config) > 1
    if backend != "reverb" and is_shared:
        return (
            f'replay.backend = "{backend}" with learner.strategy = "{learner.strategy}" and learner.workers = '
            f"{learner.workers}: the chief's table is out of the other processes' reach, and one of "
            f'replay.backend = "reverb" is not'
        )
    return None


def only_whole_networks_meet(config: Config) -> str | None:
    learner = config.learner
    if learner.model_parallel > 1 and learner.strategy in _WHOLE_NETWORKS:
        return (
            f'learner.model_parallel = {learner.model_parallel} needs learner.strategy = "local" or "mirrored", '
            f'not "{learner.strategy}", {_WHOLE_NETWORKS[learner.strategy]}'
        )
    return None


def only_one_network_is_split(config: Config) -> str | None:
    size, parts = config.ensemble.size, config.learner.model_parallel
    if size > 1 and parts > 1:
        return (
            f"ensemble.size = {size} with learner.model_parallel = {parts}: the layers of an ensemble are stacks "
            f"of its members' layers, which can't be split"
        )
    return None


def split_layers_have_units(config: Config) -> str | None:
    """Of the Nature CNN only the network itself knows."""
    network, parts = config.network, config.learner.model_parallel
    if parts == 1 or isinstance(network, NatureCNN):
        return None
    over = f"over learner.model_parallel = {parts} devices"
    if not isinstance(network, MLP):
        return f'network.kind = "linear": there is no hidden layer to split {over}'
    units = network.hidden_units[::2]  # every other layer is split by its inputs instead
    if not units:
        return f"network.hidden_units = []: there is no hidden layer to split {over}"
    if min(units) < parts:
        widths = list(network.hidden_units)
        return f"network.hidden_units = {widths}: a layer of {min(units)} units can't be split {over}"
    return None


def split_networks_are_not_compiled(config: Config) -> str | None:
    learner = config.learner
    if learner.model_parallel > 1 and learner.xla == "on":
        return (
            f'learner.xla = "on" with learner.model_parallel = {learner.model_parallel}: XLA compiles what is on one '
            f"device, and can't what several share"
        )
    return None


def processes_keep_their_cpu_whole(config: Config) -> str | None:
    learner = config.learner
    if learner.logical_devices > 1 and learner.strategy in ("multi_worker", "parameter_server"):
        return (
            f"learner.logical_devices = {learner.logical_devices} does nothing for learner.strategy = "
            f'"{learner.strategy}", each of whose processes takes its GPUs or its whole CPU'
        )
    return None


def devices_are_whole_networks(config: Config) -> str | None:
    devices, parts = config.learner.logical_devices, config.learner.model_parallel
    if devices and devices % parts:
        return (
            f"learner.logical_devices = {devices} isn't a multiple of learner.model_parallel = {parts}, "
            f"the devices of one network"
        )
    return None


def units_are_several(config: Config) -> str | None:
    learner = config.learner
    if learner.strategy == "averaging" and learner.workers == learner.logical_devices == 1:
        return (
            'learner.strategy = "averaging" with learner.workers = 1 and learner.logical_devices = 1: '
            "one replica is its own mean"
        )
    return None


def periods_divide_a_call(config: Config) -> str | None:
    updates, period = config.learner.updates_per_call, config.learner.averaging_period_train_steps
    if config.learner.strategy == "averaging" and updates % period:
        return (
            f'learner.strategy = "averaging": learner.updates_per_call = {updates} isn\'t a multiple of '
            f"learner.averaging_period_train_steps = {period}"
        )
    return None


def a_call_holds_a_read(config: Config) -> str | None:
    updates, per_read = config.learner.updates_per_call, config.learner.updates_per_read
    if config.learner.strategy == "parameter_server" and per_read > updates:
        return (
            f'learner.strategy = "parameter_server": learner.updates_per_read = {per_read} is more than '
            f"learner.updates_per_call = {updates}, and no more than these need be due"
        )
    return None


def a_read_outlives_its_own_updates(config: Config) -> str | None:
    bound, per_read = config.learner.max_staleness_train_steps, config.learner.updates_per_read
    if config.learner.strategy == "parameter_server" and 0 < bound < per_read - 1:
        return (
            f'learner.strategy = "parameter_server": learner.max_staleness_train_steps = {bound} would drop the '
            f"last gradient of every learner.updates_per_read = {per_read}, whose staleness is {per_read - 1} at least"
        )
    return None


def parts_divide_the_batch(config: Config) -> str | None:
    learner, batch_size = config.learner, config.learner.batch_size
    if learner.strategy in ("mirrored", "averaging") and learner.logical_devices:
        replicas = learner.logical_devices // learner.model_parallel
    else:
        replicas = 1
    processes = learning_processes(config)
    if batch_size % (processes * replicas):
        divisors = [
            *([f"learner.workers = {processes}"] if processes > 1 else []),
            *([f"learner.logical_devices = {learner.logical_devices}"] if replicas > 1 else []),
            *([f"learner.model_parallel = {learner.model_parallel}"] if learner.model_parallel > 1 else []),
        ]
        return (
            f"learner.batch_size = {batch_size} can't be divided evenly among the {processes * replicas} parts of "
            f'learner.strategy = "{learner.strategy}" with {" and ".join(divisors)}'
        )
    return None


def replicas_know_how_to_sum(config: Config) -> str | None:
    learner, name = config.learner, config.learner.all_reduce
    known = {
        "mirrored": ("auto", "nccl", "hierarchical_copy", "one_device"),
        "multi_worker": ("auto", "nccl", "ring"),
        "averaging": ("auto", "nccl", "ring"),
    }.get(learner.strategy, ("auto",))
    chosen = f'learner.strategy = "{learner.strategy}"'
    if learner.model_parallel > 1:
        known = ("auto",)  # networks in pieces are summed piece by piece, without `tf.distribute`
        chosen += f" and learner.model_parallel = {learner.model_parallel}"
    if name not in known:
        allowed = " or ".join(f'"{each}"' for each in known)
        return f'learner.all_reduce = "{name}" with {chosen}: must be {allowed}'
    return None


def units_learn_by_themselves(config: Config) -> str | None:
    if not config.ensemble.in_processes:
        return None
    needed = {
        "learner.strategy": (config.learner.strategy, "local"),
        "ensemble.target": (config.ensemble.target, "own"),
        "replay.backend": (config.replay.backend, "reverb"),
        "replay.item": (config.replay.item, "block"),
    }
    for key, (given, only) in needed.items():
        if given != only:
            return f'ensemble.execution = "processes" needs {key} = "{only}", not "{given}"'
    if config.replay.shards > 1:
        return (
            f'ensemble.execution = "processes" with replay.shards = {config.replay.shards}: each of ensemble.size = '
            f"{config.ensemble.size} members has a shard of its own already"
        )
    return None


def only_plain_layers_mix_precisions(config: Config) -> str | None:
    learner = config.learner
    if learner.precision != "float32" and (config.ensemble.size > 1 or learner.model_parallel > 1):
        return (
            f'learner.precision = "{learner.precision}" with ensemble.size = {config.ensemble.size} and '
            f"learner.model_parallel = {learner.model_parallel}: the layers of ensembles and split networks "
            f"compute in float32 alone"
        )
    return None


def devices_fetch_ahead(config: Config) -> str | None:
    learner = config.learner
    if not learner.prefetch_to_device:
        return None
    needed = {
        "learner.strategy": (learner.strategy, ("local", "mirrored")),
        "learner.model_parallel": (learner.model_parallel, (1,)),
        "replay.backend": (config.replay.backend, ("reverb",)),
        "ensemble.execution": (config.ensemble.execution, ("batched",)),
    }
    for key, (given, allowed) in needed.items():
        if given not in allowed:
            names = " or ".join(f'"{each}"' if isinstance(each, str) else str(each) for each in allowed)
            return f"learner.prefetch_to_device = true needs {key} = {names}, not {given}"
    return None


STRATEGY_CHECKS: tuple[Callable[[Config], str | None], ...] = (
    processes_share_a_reverb_table,
    only_whole_networks_meet,
    only_one_network_is_split,
    split_layers_have_units,
    split_networks_are_not_compiled,
    processes_keep_their_cpu_whole,
    devices_are_whole_networks,
    units_are_several,
    periods_divide_a_call,
    a_call_holds_a_read,
    a_read_outlives_its_own_updates,
    parts_divide_the_batch,
    replicas_know_how_to_sum,
    units_learn_by_themselves,
    only_plain_layers_mix_precisions,
    devices_fetch_ahead,
)
