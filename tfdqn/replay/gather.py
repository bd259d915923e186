"""`gather`: rows by index, on a GPU whatever their type.

TensorFlow 2.15 has no kernel there that gathers integers of 8 or 16 bits, or unsigned ones: what is gathered would go
back to the host for it, and then to the GPU again.
"""

import tensorflow as tf

_AS_SIGNED = {4: tf.int32, 8: tf.int64}
_HAVE_NO_KERNEL = (tf.uint8, tf.int8, tf.uint16, tf.int16, tf.uint32, tf.uint64)


def gather(values: tf.Tensor, indices: tf.Tensor, batch_dims: int = 0) -> tf.Tensor:
    """`tf.gather(values, indices, batch_dims=batch_dims)`, bit for bit.

    Rows that fill whole words are gathered as words, others as float32, which holds 16 bits exactly.
    """
    dtype = values.dtype
    if dtype not in _HAVE_NO_KERNEL:
        return tf.gather(values, indices, batch_dims=batch_dims)
    if dtype.size in _AS_SIGNED:
        signed = tf.bitcast(values, _AS_SIGNED[dtype.size])
        return tf.bitcast(tf.gather(signed, indices, batch_dims=batch_dims), dtype)
    leading, row = values.shape[: batch_dims + 1], values.shape[batch_dims + 1 :]
    to_a_word = tf.int32.size // dtype.size
    if row.num_elements() % to_a_word:
        return tf.cast(tf.gather(tf.cast(values, tf.float32), indices, batch_dims=batch_dims), dtype)
    # Shapes change while these are bytes: a GPU leaves int32 to the host for that.
    words = tf.bitcast(_reshaped(values, leading, (row.num_elements() // to_a_word, to_a_word)), tf.int32)
    parts = tf.bitcast(tf.gather(words, indices, batch_dims=batch_dims), dtype)
    return _reshaped(parts, parts.shape[:-2], row)


def _reshaped(values: tf.Tensor, leading: tf.TensorShape, row: tuple[int, ...] | tf.TensorShape) -> tf.Tensor:
    """With the axes `leading`, of which one may be unknown, and then `row`."""
    return tf.reshape(values, [*(-1 if size is None else size for size in leading), *row])
