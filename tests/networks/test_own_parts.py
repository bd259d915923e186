"""What is said of what the user's own functions have returned."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks.own_parts import described


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (tf.zeros([2, 3]), "float32[2, 3]"),
        (tf.TensorSpec([None, 3], tf.int32), "int32[?, 3]"),
        (tf.TensorSpec(None, tf.int32), "int32[…]"),
        (np.zeros(2), "a NumPy array float64[2]"),
        ([1], "list"),
        (None, "NoneType"),
    ],
)
def test_a_value_is_described_by_its_type_and_shape(value: object, said: str) -> None:
    assert described(value) == said
