"""Run by a test in a process of its own: prints what each device of a mesh holds, computes and sends, as JSON."""

import json
from collections import Counter
from collections.abc import Iterator

import msgspec
import tensorflow as tf
from tensorflow.python.eager import context

from tests.support.batches import vector_spec
from tests.support.parity import BATCH, UPDATES_PER_CALL, all_batches, in_turn, logical_cpus, settings
from tfdqn.agents.dqn import DqnAgent
from tfdqn.config import MLP
from tfdqn.learning.strategies.model_parallel import ModelParallelUpdater
from tfdqn.learning.train_step import TrainStep
from tfdqn.storage.arrays import with_prefix

SPEC = vector_spec(8, 2)


def operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Of a graph and the functions that it calls."""
    yield from graph.get_operations()
    for function in graph._functions.values():
        yield from function.graph.get_operations()


def sent(updates: ModelParallelUpdater) -> Counter[str]:
    """What the first call's graph, as TensorFlow placed it, sends: "CPU:1 to CPU:0: MatMul" → how often.

    Numbers alone: not what only tells another device that something is done or due.
    """
    context.context().enable_run_metadata()
    updates()
    metadata = context.context().export_run_metadata()
    context.context().disable_run_metadata()
    (graphs,) = [function.partition_graphs for function in metadata.function_graphs]
    found: Counter[str] = Counter()
    for graph in graphs:
        nodes = {node.name: node for node in graph.node}
        for node in graph.node:
            source = nodes[node.input[0].partition(":")[0].removeprefix("^")] if node.input else node
            is_number = node.op == "_Send" and node.attr["T"].type == tf.float32.as_datatype_enum
            if is_number and source.op != "Const":
                sender, receiver = (node.attr[end].s.decode()[-5:] for end in ("send_device", "recv_device"))
                found[f"{sender} to {receiver}: {source.op.removeprefix('_Mkl')}"] += 1
    return found


def main(rows: int, columns: int) -> None:
    devices = logical_cpus(rows * columns)
    config = msgspec.structs.replace(settings("adam"), network=MLP(hidden_units=(1024, 1024)))
    updates = ModelParallelUpdater(
        lambda row: TrainStep(DqnAgent(config, SPEC, row), config),
        [devices[i : i + columns] for i in range(0, len(devices), columns)],
        in_turn(all_batches(SPEC), UPDATES_PER_CALL * BATCH),
        config,
    )
    numbers_sent = sent(updates)
    weights = updates().weights
    expected = with_prefix("online", updates.state())
    assert list(weights) == list(expected)
    assert all((weights[name] == array).all() for name, array in expected.items())
    graph = updates._call.get_concrete_function().graph
    body = next(op for op in graph.get_operations() if op.type in ("While", "StatelessWhile"))
    body_graph = graph._get_function(body.get_attr("body").name).graph
    products = Counter(op.device[-5:] for op in operations(body_graph) if op.type == "MatMul")
    print(json.dumps({"bytes": updates.bytes_by_device(), "products": products, "sent": numbers_sent}))
