"""`PriorityUpdates`: sends new priorities to the replay servers in the background."""

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

_MAX_PENDING = 16  # calls whose priorities one server has not been sent; beyond that the oldest are dropped
_RETRY_SECONDS = 0.5


class PriorityUpdates:
    """Sends each server the new priorities of its items, in a thread per server, so that a dead one delays no other.

    `addresses` are in the order that a draw's keys number them.
    """

    def __init__(self, addresses: Sequence[str], scale: PriorityScale):
        self._scale = scale
        self._queues = [_Queue(address) for address in addresses]

    def __call__(self, priorities: ItemPriorities) -> None:
        """Queues priorities to be sent, and returns immediately."""
        values = self._scale(priorities.errors)
        servers, keys = priorities.keys.T
        for index, queue in enumerate(self._queues):
            mine = slice(None) if len(self._queues) == 1 else servers == index
            queue.put(np.ascontiguousarray(keys[mine]).view(np.uint64), values[mine])

    def flush(self, timeout_seconds: float) -> None:
        """Waits until all priorities have been sent, or until the timeout."""
        deadline = time.monotonic() + timeout_seconds
        for queue in self._queues:
            queue.wait(deadline)

    def close(self, timeout_seconds: float) -> None:
        """Drops unsent priorities; waits until none are being sent, or until the timeout."""
        deadline = time.monotonic() + timeout_seconds
        for queue in self._queues:
            queue.close(deadline)


class _Queue:
    """A queue of priorities for one server, and the thread that sends them, started with the first."""

    def __init__(self, address: str):
        self._address = address
        self._pending: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_MAX_PENDING)
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
                self._changed.wait_for(lambda: self._pending or self._is_closed)  # no timeout: `put` and `close` notify
                if self._is_closed:
                    return
                keys, values = self._pending.popleft()
                self._is_sending = True
            try:
                client.update_priorities(TABLE, tf.constant(keys), tf.constant(values))
            except (RuntimeError, ReverbError, tf.errors.OpError):  # the server is gone: drop these
                time.sleep(_RETRY_SECONDS)
