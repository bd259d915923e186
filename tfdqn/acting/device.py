"""`acting_device`: the device on which a process computes Q-values for acting and evaluation."""

import tensorflow as tf

from tfdqn.config import Config


def acting_device(config: Config) -> str:
    """The name of the device that `acting.device` selects; the CPU if there is no GPU.

    "auto" selects the CPU, since on a GPU that also learns a call would wait for all pending updates. For central
    inference, whose calls are large, it selects the last GPU.
    """
    choice = config.acting.device
    wants_gpu = choice == "gpu" or (choice == "auto" and config.acting.inference == "central")
    gpus = tf.config.list_logical_devices("GPU") if wants_gpu else []
    return gpus[-1].name if gpus else "/CPU:0"
