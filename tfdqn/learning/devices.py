"""The devices on which this process learns (all GPUs, or logical parts of its CPU), and TensorFlow's threads."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import tensorflow as tf

from tfdqn.cluster.tf_config import WORKER
from tfdqn.config import Config, Learner
from tfdqn.errors import ConfigError
from tfdqn.system.processors import available_cores


def learning_devices(config: Config, variables: Mapping[str, str] | None = None) -> list[str]:
    """Sets up the devices on which this process learns; returns their names, such as "GPU:0".

    To be called before TensorFlow is used otherwise, because its devices are then fixed. `variables` of the
    environment, such as `CUDA_VISIBLE_DEVICES`, apply while TensorFlow looks for GPUs.

    Raises ConfigError if the process has used TensorFlow with fewer logical devices than are asked for, the updates
    can't be divided among the devices, or there are fewer GPUs than `learner.min_gpus`.
    """
    with _environment(variables or {}):
        tf.config.list_physical_devices("GPU")  # CUDA keeps the list from the first call on
    count = config.learner.logical_devices
    if config.learner.strategy != "parameter_server":  # with that, only workers compute gradients
        prepare_gpus(config.learner)
    if not count:
        gpus = tf.config.list_physical_devices("GPU")
        return _checked(config, [f"GPU:{i}" for i in range(len(gpus))] or ["CPU:0"])
    (cpu,) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        present = len(tf.config.list_logical_devices("CPU"))
        if present < count:
            raise ConfigError(
                f"learner.logical_devices = {count}: TensorFlow has computed in this process before, with {present}: "
                "train in a new process; a module of your own must not compute by TensorFlow when it is imported"
            ) from None
    return _checked(config, [f"CPU:{i}" for i in range(count)])


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def learns_on_gpus(config: Config) -> bool:
    """Whether every process that computes gradients, of those that this one is connected to, has a GPU.

    With asynchronous workers the learner computes no gradients itself, so the workers' devices are looked up.
    """
    is_elsewhere = config.learner.strategy == "parameter_server"

    def tasks(kind: str) -> set[int | None]:
        specs = (tf.DeviceSpec.from_string(each.name) for each in tf.config.list_logical_devices(kind))
        return {spec.task for spec in specs if not is_elsewhere or spec.job == WORKER}

    return bool(tasks("GPU")) and tasks("GPU") == tasks("CPU")


def uses_xla(config: Config) -> bool:
    """Whether updates are compiled, by `learner.xla`; "auto" compiles unless XLA's code would be slow on a CPU.

    To be called after the strategy is made.
    """
    if config.learner.xla != "auto":
        return config.learner.xla == "on"
    return not config.is_slow_in_xla or learns_on_gpus(config)


def prepare_gpus(learner: Learner) -> None:
    """Prepares TensorFlow in a process that computes gradients. To be called before TensorFlow is used otherwise.

    Raises ConfigError if TensorFlow finds fewer GPUs than `learner.min_gpus`: it would silently learn on the CPU.
    """
    tf.config.experimental.enable_tensor_float_32_execution(learner.tf32)
    count = learner.min_gpus
    if count and (found := len(tf.config.list_physical_devices("GPU"))) < count:
        raise ConfigError(
            f"learner.min_gpus = {count}: TensorFlow finds {found} here; is CUDA installed with it "
            "(tensorflow[and-cuda], tfdqn's extra `cuda`), and are they visible (CUDA_VISIBLE_DEVICES)?"
        )


def replicas(config: Config, devices: Sequence[str]) -> list[Sequence[str]]:
    """Divides this process's devices among its replicas, `learner.model_parallel` devices each.

    Raises ConfigError if there are too few devices, or if some would be left over.
    """
    columns = config.learner.model_parallel
    is_one = config.learner.strategy in ("local", "parameter_server")
    count = 1 if is_one else len(devices) // columns
    if len(devices) < columns or (not is_one and len(devices) % columns):
        raise ConfigError(
            f"learner.model_parallel = {columns} needs so many devices, or a multiple of them; there are "
            f"{len(devices)}: {', '.join(devices)} (learner.logical_devices splits a CPU)"
        )
    return [devices[i * columns : (i + 1) * columns] for i in range(count)]


def _checked(config: Config, devices: list[str]) -> list[str]:
    """Returns `devices`. Raises ConfigError if they don't suit the configuration."""
    learner, processes = config.learner, config.learner.processes
    if learner.all_reduce == "nccl" and not tf.config.list_physical_devices("GPU"):
        raise ConfigError('learner.all_reduce = "nccl" needs GPUs, and this machine shows none')
    if config.acting.device == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise ConfigError('acting.device = "gpu" needs a GPU, and this process sees none')
    here = len(replicas(config, devices))
    if learner.strategy == "averaging" and processes * here == 1:
        raise ConfigError(
            'learner.strategy = "averaging" needs two replicas at least, and this is one process with one device: '
            "set learner.workers or learner.logical_devices above 1"
        )
    if learner.batch_size % (processes * here):
        by = f"learner.workers = {processes} with {here} replicas each" if processes > 1 else f"{here} replicas"
        raise ConfigError(
            f"learner.batch_size = {learner.batch_size} can't be divided evenly among {by}, on {', '.join(devices)}"
        )
    return devices


def use_threads(config: Config, runs: int = 1) -> None:
    """Sets TensorFlow's threads: those that run operations, and `learner.threads` inside an operation.

    One runs operations: those of an update depend on one another, so more would only add context switches. Where a
    large network acts while it learns, acting has a second, without which it would wait behind the long operations of
    updates, and a core that these leave to it. Several devices, processes or `runs` that work in parallel need a thread
    each. If the process has used TensorFlow before, nothing changes.
    """
    learner, is_large = config.learner, config.network.fills_all_cores
    is_alone = learner.strategy == "local" and learner.model_parallel == 1
    acts_meanwhile = is_large and is_alone and learner.schedule == "overlap" and config.agent.has_replay
    large_threads = max(1, available_cores() - 1) if acts_meanwhile else 0  # 0: all cores
    runners = runs + acts_meanwhile if is_alone else max(learner.logical_devices, 4)
    try:
        tf.config.threading.set_inter_op_parallelism_threads(runners)
        tf.config.threading.set_intra_op_parallelism_threads(learner.threads or (large_threads if is_large else 1))
    except RuntimeError:
        pass
