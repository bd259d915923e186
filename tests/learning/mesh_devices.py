"""Run by a test in a process of its own: prints what each device of a mesh holds and computes, as JSON."""

import json
import sys
from collections import Counter
from collections.abc import Iterator

import tensorflow as tf

from tests.agents.batches import vector_spec
from tests.learning.parity import BATCH, UPDATES_PER_CALL, all_batches, in_turn, logical_cpus, settings
from tfdqn.agents import DqnAgent
from tfdqn.config import MLP, Agent, Config
from tfdqn.learning.mesh import MeshUpdates
from tfdqn.learning.train_step import TrainStep

SPEC = vector_spec(8, 2)


def operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Of a graph and the functions that it calls."""
    yield from graph.get_operations()
    for function in graph._functions.values():
        yield from function.graph.get_operations()


def main(rows: int, columns: int) -> None:
    devices = logical_cpus(rows * columns)
    config = Config(
        network=MLP(hidden_units=(1024, 1024)),
        optimizer=settings("adam").optimizer,
        agent=Agent(),
        learner=settings("adam").learner,
    )
    updates = MeshUpdates(
        lambda row: TrainStep(DqnAgent(config, SPEC, row), config),
        [devices[i : i + columns] for i in range(0, len(devices), columns)],
        in_turn(all_batches(SPEC), UPDATES_PER_CALL * BATCH),
        config,
    )
    updates()
    graph = updates._call.get_concrete_function().graph
    body = next(op for op in graph.get_operations() if op.type in ("While", "StatelessWhile"))
    body_graph = graph._get_function(body.get_attr("body").name).graph
    products = Counter(op.device[-5:] for op in operations(body_graph) if op.type == "MatMul")
    print(json.dumps({"bytes": updates.bytes_by_device(), "products": products}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
