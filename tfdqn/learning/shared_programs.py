"""`SharedPrograms`: what the learners of several runs in one process compute alike is compiled once.

XLA takes a second or more for the updates of a small network. Those of another seed differ in their variables alone,
and these are arguments of what is compiled.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


class SharedPrograms:
    """Functions by what they compute. Several threads may call."""

    def __init__(self) -> None:
        self._programs: dict[str, Any] = {}  # concrete functions by fingerprint
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._programs)

    def call(self, function: Any, *arguments: Any) -> Any:
        """In a graph, what a `tf.function` gives: by the first function that computes the same.

        That gets the variables which `function` itself has captured.

        Args:
          function: a `tf.function`.
          arguments: nests of tensors, or of none.
        """
        own = function.get_concrete_function(*arguments)
        with self._lock:
            program = self._programs.setdefault(fingerprint(own), own)
        tensors = [each for each in tf.nest.flatten(arguments) if each is not None]
        # A SavedModel's functions are called by it; what is public takes no other captures than a function's own.
        return program._call_flat(tensors, own.captured_inputs)


_shared: SharedPrograms | None = None


@contextmanager
def programs_are_shared() -> Iterator[SharedPrograms]:
    """By all learners of the process that begin while the block runs."""
    global _shared
    _shared = programs = SharedPrograms()
    try:
        yield programs
    finally:
        _shared = None


def shared_programs() -> SharedPrograms | None:
    """Those of the block under way; None: there is none, and each learner has its own."""
    return _shared


def fingerprint(function: Any) -> str:
    """The text of a concrete function and of all that it calls: of two that compute the same, the same.

    TensorFlow gives each function a number of its own; here they are named in the order in which they are met.
    """
    root = function.function_def
    called = function.graph.as_graph_def().library.function
    texts = {each.signature.name: str(each) for each in (*called, root)}
    names = re.compile("|".join(re.escape(name) for name in sorted(texts, key=len, reverse=True)))
    order = list(_met(root.signature.name, texts, names))
    text = "\n".join(texts[name] for name in order)
    return names.sub(lambda found: f"function_{order.index(found[0])}", text)


def _met(root: str, texts: Mapping[str, str], names: re.Pattern[str]) -> Iterator[str]:
    """The names of a function and of all that it calls, as they are met."""
    met, left = {root: None}, [root]
    while left:
        yield (name := left.pop(0))
        new = [each for each in dict.fromkeys(names.findall(texts[name])) if each not in met]
        met.update(dict.fromkeys(new))
        left += new
