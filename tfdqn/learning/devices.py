"""The devices of this process that learn: every GPU, or logical parts of its CPU."""

import tensorflow as tf

from tfdqn.config import Config
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
