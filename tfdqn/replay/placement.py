"""`on`: the device of what a block adds to a graph, where one is wanted."""

from contextlib import AbstractContextManager, nullcontext

import tensorflow as tf


def on(device: str | None) -> AbstractContextManager:
    """`tf.device`; None: the device that is chosen already, which `tf.device(None)` would forget."""
    return nullcontext() if device is None else tf.device(device)
