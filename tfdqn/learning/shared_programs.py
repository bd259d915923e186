"""`SharedPrograms`: compiles functions only once that several runs in one process have in common.

XLA takes a second or more to compile the updates of even a small network. The updates of runs with different seeds
mostly differ only in their variables, which are arguments of the compiled function. But what is drawn in them has the
seed as a constant (noise, IQN's fractions, which members of an ensemble learn from an example): it is compiled anew.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

_CUSTOM_GRADIENT = re.compile(r"CustomGradient-\d+")


class SharedPrograms:
    """Concrete functions by what they compute. Thread-safe."""

    def __init__(self) -> None:
        self._programs: dict[str, Any] = {}  # concrete functions by fingerprint
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._programs)

    def call(self, function: Any, *arguments: Any) -> Any:
        """Calls, in a graph, the first function that computes the same as `function`; returns its result.

        It is called with the variables that `function`, a `tf.function`, itself has captured. Arguments are nests of
        tensors and None.
        """
        own = function.get_concrete_function(*arguments)
        with self._lock:
            program = self._programs.setdefault(fingerprint(own), own)
            # TensorFlow reads them only for gradient tapes, of which none is there, and refuses a call once they are
            # deleted, with the run that made the function.
            program.graph.variables = ()
        tensors = [each for each in tf.nest.flatten(arguments) if each is not None]
        # The public API only takes a function's own captures. TensorFlow calls a SavedModel's functions in this way.
        return program._call_flat(tensors, own.captured_inputs)


_shared: SharedPrograms | None = None


@contextmanager
def programs_are_shared() -> Iterator[SharedPrograms]:
    """Shares programs among all learners of this process that are made while the block runs."""
    global _shared
    _shared = programs = SharedPrograms()
    try:
        yield programs
    finally:
        _shared = None


def shared_programs() -> SharedPrograms | None:
    """The programs of the current `programs_are_shared` block; None outside one: each learner then has its own."""
    return _shared


def fingerprint(function: Any) -> str:
    """A text that is equal for concrete functions that compute the same: that of the function and all that it calls.

    TensorFlow gives every function a unique number; here they are renamed in the order in which they are found. It
    numbers custom gradients, too, which has no effect once the gradients are in the graph.
    """
    root = function.function_def
    called = function.graph.as_graph_def().library.function
    texts = {each.signature.name: str(each) for each in (*called, root)}
    names = re.compile("|".join(re.escape(name) for name in sorted(texts, key=len, reverse=True)))
    order = list(_reachable(root.signature.name, texts, names))
    text = _CUSTOM_GRADIENT.sub("CustomGradient", "\n".join(texts[name] for name in order))
    return names.sub(lambda found: f"function_{order.index(found[0])}", text)


def _reachable(root: str, texts: Mapping[str, str], names: re.Pattern[str]) -> Iterator[str]:
    """The names of a function and of all that it calls, directly or not, breadth first."""
    found, left = {root}, [root]
    while left:
        yield (name := left.pop(0))
        new = [each for each in dict.fromkeys(names.findall(texts[name])) if each not in found]
        found.update(new)
        left += new
