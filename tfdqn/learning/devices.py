"""The devices of this process that learn, every GPU or logical parts of its CPU; and TensorFlow's threads."""

import tensorflow as tf

from tfdqn.config import Config, NatureCNN
from tfdqn.errors import ConfigError


def learning_devices(config: Config) -> list[str]:
    """Names such as "GPU:0"; before anything else uses TensorFlow, which fixes its devices then.

    Raises ConfigError where a process has used TensorFlow with fewer logical devices than are asked for.
    """
    count = config.learner.logical_devices
    if not count:
        gpus = tf.config.list_physical_devices("GPU")
        return [f"GPU:{i}" for i in range(len(gpus))] or ["CPU:0"]
    (cpu,) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        present = len(tf.config.list_logical_devices("CPU"))
        if present < count:
            raise ConfigError(
                f"learner.logical_devices = {count}: this process has used TensorFlow with {present} already; "
                f"begin a new one"
            ) from None
    return [f"CPU:{i}" for i in range(count)]


def use_threads(config: Config) -> None:
    """One thread between operations, and inside one as many as `learner.threads` says.

    Operations of one update wait for one another anyway, and a second pool only costs hand-overs; where several
    devices or processes work side by side, each needs a thread. In a process that has used TensorFlow before, its
    settings stand.
    """
    learner = config.learner
    threads = learner.threads or (0 if isinstance(config.network, NatureCNN) else 1)
    is_alone = learner.strategy == "local" and learner.model_parallel == 1
    try:
        tf.config.threading.set_inter_op_parallelism_threads(
            1 if is_alone else max(learner.logical_devices, 4)
        )
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        pass
