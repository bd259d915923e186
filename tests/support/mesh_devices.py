"""Run by a test in a process of its own: prints what each device of a mesh holds, computes and sends, as JSON."""

import json
from collections import Counter
from collections.abc import Iterator

import msgspec
import tensorflow as tf

from tests.support.batches import vector_spec
from tests.support.logical_devices import logical_devices
from tests.support.parity import BATCH, UPDATES_PER_CALL, all_batches, in_turn, settings
from tests.support.placement import placed, sent
from tfdqn.config import MLP
from tfdqn.learning.strategies.model_parallel import ModelParallelUpdater
from tfdqn.storage.arrays import with_prefix

SPEC = vector_spec(8, 2)


def operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Of a graph and the functions that it calls."""
    yield from graph.get_operations()
    for function in graph._functions.values():
        yield from function.graph.get_operations()


def main(rows: int, columns: int) -> None:
    devices = logical_devices(rows * columns)
    config = msgspec.structs.replace(settings("adam"), network=MLP(hidden_units=(1024, 1024)))
    updates = ModelParallelUpdater(
        config,
        SPEC,
        [devices[i : i + columns] for i in range(0, len(devices), columns)],
        in_turn(all_batches(SPEC), UPDATES_PER_CALL * BATCH),
    )
    numbers_sent = sent(placed(updates), tf.float32)
    weights = updates().weights
    expected = with_prefix("online", updates.state())
    assert list(weights) == list(expected)
    assert all((weights[name] == array).all() for name, array in expected.items())
    graph = updates._call.get_concrete_function().graph
    body = next(op for op in graph.get_operations() if op.type in ("While", "StatelessWhile"))
    body_graph = graph._get_function(body.get_attr("body").name).graph
    products = Counter(op.device[-5:] for op in operations(body_graph) if op.type == "MatMul")
    print(json.dumps({"bytes": updates.bytes_by_device(), "products": products, "sent": numbers_sent}))
