"""`PriorityUpdates`: sends new priorities to the servers in the background of updates."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

import numpy as np
import reverb
import tensorflow as tf
from reverb.errors import ReverbError

from tfdqn.replay.interfaces import ItemPriorities
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.server import TABLE

_MOST_PENDING = 16  # calls' worth for one server; then the oldest is dropped
_RETRY_SECONDS = 0.5


class PriorityUpdates:
    """Sends each server the priorities of its items by a thread of its own, so that a dead server delays nothing else.

    Args:
      addresses: of the servers, in the order of samplers' keys.
      scale: makes priorities of errors.
    """

    def __init__(self, addresses: Sequence[str], scale: PriorityScale):
        self._scale = scale
        self._queues = [_Queue(address) for address in addresses]

    def __call__(self, priorities: ItemPriorities) -> None:
        """Queues priorities for sending, and returns at once."""
        values = self._scale(priorities.errors)
        servers, keys = priorities.keys.T
        for index, queue in enumerate(self._queues):
            mine = slice(None) if len(self._queues) == 1 else servers == index
            queue.put(np.ascontiguousarray(keys[mine]).view(np.uint64), values[mine])

    def flush(self, timeout_seconds: float) -> None:
        """Waits until all have arrived, or until the time is over."""
        deadline = time.monotonic() + timeout_seconds
        for queue in self._queues:
            queue.wait(deadline)

    def close(self, timeout_seconds: float) -> None:
        """Stops sending; waits until none is being sent, or until the time is over."""
        deadline = time.monotonic() + timeout_seconds
        for queue in self._queues:
            queue.close(deadline)


class _Queue:
    """The priorities that one server has not been sent yet."""

    def __init__(self, address: str):
        self._address = address
        self._pending: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_MOST_PENDING)
        self._changed = threading.Condition()
        self._is_sending = self._is_closed = False
        self._thread: threading.Thread | None = None

    def put(self, keys: np.ndarray, values: np.ndarray) -> None:
        with self._changed:
            self._pending.append((keys, values))
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_until_closed, name="priorities", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, deadline: float) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: not (self._pending or self._is_sending), max(deadline - time.monotonic(), 0.0)
            )

    def close(self, deadline: float) -> None:
        with self._changed:
            self._is_closed = True
            self._pending.clear()
            self._changed.notify_all()
        self.wait(deadline)

    def _send_until_closed(self) -> None:
        client = reverb.TFClient(self._address)
        while True:
            with self._changed:
                self._is_sending = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._pending or self._is_closed)  # no limit: both wake it
                if self._is_closed:
                    return
                keys, values = self._pending.popleft()
                self._is_sending = True
            try:
                client.update_priorities(TABLE, tf.constant(keys), tf.constant(values))
            except (RuntimeError, ReverbError, tf.errors.OpError):  # the server is gone: these are dropped
                time.sleep(_RETRY_SECONDS)
