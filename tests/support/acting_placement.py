"""Run by a test in a process of its own: prints where a network acts by TensorFlow, as JSON."""

import json

import numpy as np
import tensorflow as tf

from tests.support.batches import observations
from tests.support.logical_devices import logical_devices
from tests.support.parity import image_spec
from tests.support.placement import computed, placed, sent
from tests.support.tiny_runs import tiny
from tfdqn.acting.factory import tensorflow_q_function
from tfdqn.networks.factory import network_to_load


def main(count: int, *overrides: str) -> None:
    """With the last part of the CPU for the first GPU, or for the only one."""
    *_, gpu = logical_devices(count)
    config, spec = tiny("network.kind=nature_cnn", "network.dense_units=4", *overrides), image_spec()
    named = [tf.config.LogicalDevice(f"/device:{gpu}", "GPU")]
    tf.config.list_logical_devices = lambda kind: named if kind == "GPU" else []
    rng = np.random.default_rng(1)
    with tf.device(gpu):
        weights = {name: each.numpy() for name, each in network_to_load(config, spec).named_weights().items()}
        q_function = tensorflow_q_function(config, spec)
        graphs = placed(lambda: q_function(weights, observations(spec, 3, rng)))
    moved = sent(graphs, tf.float32, tf.uint8, tf.resource)
    print(json.dumps({"convolutions": computed(graphs, "Conv2D"), "sent": moved}))
