"""Placement on devices: `on`, an optional `tf.device`, and `gather`, which stays on the GPU for every integer type."""

from contextlib import AbstractContextManager, nullcontext

import tensorflow as tf

# TensorFlow 2.15 has no GPU kernel that gathers these: `tf.gather` would copy the values to the host, and the result
# back.
_HAVE_NO_KERNEL = (tf.uint8, tf.int8, tf.uint16, tf.int16, tf.uint32, tf.uint64)
_AS_SIGNED = {4: tf.int32, 8: tf.int64}


def on(device: str | None) -> AbstractContextManager:
    """Returns `tf.device(device)`; for None a context that keeps the current device, which `tf.device(None)` resets."""
    return nullcontext() if device is None else tf.device(device)


def gather(values: tf.Tensor, indices: tf.Tensor, batch_dims: int = 0) -> tf.Tensor:
    """Returns `tf.gather(values, indices, batch_dims=batch_dims)`, bit for bit.

    Rows of whole 32-bit words are gathered as int32, others as float32, which represents 16-bit integers exactly.
    """
    dtype = values.dtype
    if dtype not in _HAVE_NO_KERNEL:
        return tf.gather(values, indices, batch_dims=batch_dims)
    if dtype.size in _AS_SIGNED:
        signed = tf.bitcast(values, _AS_SIGNED[dtype.size])
        return tf.bitcast(tf.gather(signed, indices, batch_dims=batch_dims), dtype)
    leading, row = values.shape[: batch_dims + 1], values.shape[batch_dims + 1 :]
    per_word = tf.int32.size // dtype.size
    if row.num_elements() % per_word:
        return tf.cast(tf.gather(tf.cast(values, tf.float32), indices, batch_dims=batch_dims), dtype)
    # Reshape before the bitcast: TensorFlow reshapes int32 on the host even if it is on a GPU.
    words = tf.bitcast(_reshaped(values, leading, (row.num_elements() // per_word, per_word)), tf.int32)
    parts = tf.bitcast(tf.gather(words, indices, batch_dims=batch_dims), dtype)
    return _reshaped(parts, parts.shape[:-2], row)


def _reshaped(values: tf.Tensor, leading: tf.TensorShape, row: tuple[int, ...] | tf.TensorShape) -> tf.Tensor:
    """Reshapes to the axes `leading`, one of which may be unknown, followed by `row`."""
    return tf.reshape(values, [*(-1 if size is None else size for size in leading), *row])
