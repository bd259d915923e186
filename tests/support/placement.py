"""Where TensorFlow has placed a call, and what its devices send one another.

Without GPUs, parts of the CPU stand for them. "CPU:0" is the host then; "CPU:1", by `with tf.device`, is what
operations fall to that are told no device, as they do to the first GPU.
"""

from collections import Counter
from collections.abc import Callable

import tensorflow as tf

# Public nowhere: the graphs as TensorFlow has divided them.
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.python.eager import context


def placed(call: Callable[[], object]) -> list[GraphDef]:
    """The graphs of what is called, one for each device and function."""
    context.context().enable_run_metadata()
    call()
    metadata = context.context().export_run_metadata()
    context.context().disable_run_metadata()
    return [graph for function in metadata.function_graphs for graph in function.partition_graphs]


def computed(graphs: list[GraphDef], operation: str) -> Counter[str]:
    """How often each device ("CPU:1") does it, fused with others or not."""
    nodes = (node for graph in graphs for node in graph.node)
    return Counter(node.device[-5:] for node in nodes if node.op.endswith(operation))


def sent(graphs: list[GraphDef], *types: tf.DType) -> Counter[str]:
    """What devices send of these types: "CPU:1 to CPU:0: MatMul" → how often.

    Not what only tells another device that something is done or due.
    """
    found: Counter[str] = Counter()
    for graph in graphs:
        nodes = {node.name: node for node in graph.node}
        for node in graph.node:
            source = nodes[node.input[0].partition(":")[0].removeprefix("^")] if node.input else node
            is_meant = node.op == "_Send" and node.attr["T"].type in [each.as_datatype_enum for each in types]
            if is_meant and source.op != "Const":
                sender, receiver = (node.attr[end].s.decode()[-5:] for end in ("send_device", "recv_device"))
                found[f"{sender} to {receiver}: {source.op.removeprefix('_Mkl')}"] += 1
    return found
