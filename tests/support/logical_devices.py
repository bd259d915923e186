"""The devices of a process that a case of parity or of placement has to itself."""

import os

import tensorflow as tf

_MEMORY_OF_A_PART_MB = 2048


def logical_devices(count: int) -> list[str]:
    """Splits the CPU; before anything else uses TensorFlow.

    With `PARITY_DEVICES=gpus` GPUs are taken instead, and where there are fewer, parts of the first.
    """
    is_on_gpus = os.environ.get("PARITY_DEVICES") == "gpus"
    kind, limit = ("GPU", _MEMORY_OF_A_PART_MB) if is_on_gpus else ("CPU", None)
    first, *others = tf.config.list_physical_devices(kind)
    if len(others) + 1 < count or not is_on_gpus:
        parts = [tf.config.LogicalDeviceConfiguration(memory_limit=limit)] * count
        tf.config.set_logical_device_configuration(first, parts)
        tf.config.set_visible_devices([first], kind)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    return [f"{kind}:{i}" for i in range(count)]
