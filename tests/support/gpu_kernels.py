"""What a graph would do on a GPU, by what TensorFlow's wheel says of its kernels: no GPU is needed to ask.

An operation whose types have no GPU kernel runs on the host, and some of a GPU kernel's arguments lie in the host's
memory (int32 nearly always). Where one operation's result lies elsewhere than the next one wants it, it is copied.
"""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

# Public nowhere: what was registered for which operation.
from tensorflow.python.framework import kernels

_CALLS = {"If", "StatelessIf", "While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall"}
_OF_THE_HOST = (tf.int32, tf.resource, tf.string)  # as arguments of functions


def copies_to_the_host(graph: tf.Graph) -> list[str]:
    """ "Reshape of int32 by Bitcast", …: what is computed on the GPU, and then needed in the host's memory."""
    return [
        f"{operation.type} of {tensor.dtype.name} by {tensor.op.type}"
        for operation in graph.get_operations()
        if not (operation.type == "Identity" and operation.name.startswith("Identity"))  # of the function's results
        for tensor, is_on_host in zip(operation.inputs, _inputs_on_host(operation), strict=True)
        if is_on_host and not _is_on_host(tensor) and tensor.dtype != tf.resource
    ]


def _is_on_host(tensor: tf.Tensor) -> bool:
    operation = tensor.op
    if operation.type in ("Placeholder", *_CALLS):
        return tensor.dtype in _OF_THE_HOST
    if operation.type == "Const":
        return True  # it is put where it is needed, once
    kernel = _kernel(operation)
    if kernel is None:
        return True
    return _by_argument(operation, operation.op_def.output_arg, kernel.host_memory_arg)[tensor.value_index]


def _inputs_on_host(operation: tf.Operation) -> list[bool]:
    if operation.type in _CALLS:
        is_branch = operation.type in ("If", "StatelessIf")
        return [(is_branch and not i) or each.dtype in _OF_THE_HOST for i, each in enumerate(operation.inputs)]
    kernel = _kernel(operation)
    if kernel is None:
        return [True] * len(operation.inputs)
    return _by_argument(operation, operation.op_def.input_arg, kernel.host_memory_arg)


def _by_argument(operation: tf.Operation, arguments: list, on_host: list[str]) -> list[bool]:
    """For each tensor, whether its argument is one of those."""
    found: list[bool] = []
    for each in arguments:
        count = 1
        if each.number_attr:
            count = operation.get_attr(each.number_attr)
        elif each.type_list_attr:
            count = len(operation.get_attr(each.type_list_attr))
        found += [each.name in on_host] * count
    return found


def _kernel(operation: tf.Operation) -> Any:
    """The one that a GPU has for its types."""
    return next(_fitting(operation), None)


def _fitting(operation: tf.Operation) -> Iterator[Any]:
    for kernel in kernels.get_registered_kernels_for_op(operation.type).kernel:
        if kernel.device_type in ("GPU", "DEFAULT") and all(
            operation.get_attr(each.name).as_datatype_enum in each.allowed_values.list.type
            for each in kernel.constraint
        ):
            yield kernel
