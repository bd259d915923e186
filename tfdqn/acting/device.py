"""Where a process computes what it acts and evaluates by."""

import tensorflow as tf

from tfdqn.config import Config


def acting_device(config: Config) -> str:
    """As `acting.device` says, where there is a GPU; else the CPU.

    By itself the CPU: on a GPU that learns, a call would wait behind all updates of the learner's. Central inference
    takes the last GPU, since its calls are large.
    """
    choice = config.acting.device
    wants_gpu = choice == "gpu" or (choice == "auto" and config.acting.inference == "central")
    gpus = tf.config.list_logical_devices("GPU") if wants_gpu else []
    return gpus[-1].name if gpus else "/CPU:0"
