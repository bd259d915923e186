"""`with_weights`: a network's function of weights that are given as tensors, not kept in its variables."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import tensorflow as tf

from tfdqn.networks.q_network import QNetwork


@contextmanager
def with_weights(network: QNetwork, tensors: Mapping[str, tf.Tensor]) -> Iterator[None]:
    """While the block runs (a graph is traced), `network` computes with `tensors`, by name, for its weights.

    Keras offers no such call: its layers read their weights from attributes, which are exchanged here, below
    Keras's bookkeeping.
    """
    by_id = {id(variable): tensors[name] for name, variable in network.named_weights().items()}
    exchanged = [
        (layer, attribute, value)
        for layer in network.torso_layers
        for attribute, value in vars(layer).items()
        if id(value) in by_id
    ]
    if len(exchanged) != len(by_id):
        raise RuntimeError(f"{network.name}: {len(by_id)} weights, of which {len(exchanged)} were found")
    try:
        for layer, attribute, value in exchanged:
            vars(layer)[attribute] = tf.cast(by_id[id(value)], layer.compute_dtype)
        yield
    finally:
        for layer, attribute, value in exchanged:
            vars(layer)[attribute] = value
