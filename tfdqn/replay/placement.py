"""`on`: an optional `tf.device`."""

from contextlib import AbstractContextManager, nullcontext

import tensorflow as tf


def on(device: str | None) -> AbstractContextManager:
    """Returns `tf.device(device)`; for None a context that keeps the current device, which `tf.device(None)` resets."""
    return nullcontext() if device is None else tf.device(device)
