"""Priorities on their way to servers: each gets its own, and one that is gone holds up nobody."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import reverb
import tensorflow as tf
from reverb.platform.default import checkpointers

from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.config import Priorities
from tfdqn.replay.interfaces import ItemPriorities
from tfdqn.replay.priorities import PriorityScale
from tfdqn.replay.reverb.priority_updates import _MAX_PENDING, PriorityUpdates
from tfdqn.replay.reverb.server import TABLE, transitions_table

SETTINGS = Priorities(exponent=0.5, epsilon=0.25)
NOBODY = "127.0.0.1:1"


def serve(folder: Path, port: int | None = None) -> reverb.Server:
    """A server with the last checkpoint in the folder, if there is one."""
    signature = {"rows": tf.TensorSpec([1], tf.uint8)}
    table = transitions_table(signature, 100, reverb.rate_limiters.MinSize(1), SETTINGS)
    return reverb.Server([table], port, checkpointers.DefaultCheckpointer(str(folder)))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[reverb.Server]:
    server = serve(tmp_path)
    yield server
    server.stop()


def filled(server: reverb.Server) -> tuple[reverb.Client, np.ndarray]:
    """A client, and the keys of eight items."""
    client = reverb.Client(f"127.0.0.1:{server.port}")
    with client.trajectory_writer(num_keep_alive_refs=1) as writer:
        for i in range(8):
            writer.append({"rows": np.array([i], np.uint8)})
            writer.create_item(TABLE, 1.0, {"rows": writer.history["rows"][-1]})
        writer.flush()
    return client, np.array(sorted(priorities(client)), np.uint64)


def priorities(client: reverb.Client) -> dict[int, float]:
    """By key, of what is soon drawn."""
    return {each.info.key: each.info.priority for each in client.sample(TABLE, 2000, emit_timesteps=False)}


def of(server: int, keys: np.ndarray, errors: list[float]) -> ItemPriorities:
    named = np.stack([np.full(len(keys), server), keys.view(np.int64)], axis=1)
    return ItemPriorities(named, np.array(errors, np.float32))


def test_each_server_gets_its_own_though_another_is_gone(server: reverb.Server) -> None:
    client, keys = filled(server)
    scale = PriorityScale(SETTINGS)
    updates = PriorityUpdates([NOBODY, client.server_address], scale)
    for _ in range(2 * _MAX_PENDING):  # more than wait for one that is gone
        updates(of(1, keys, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]))
        updates(of(0, keys, [50.0] * 8))  # the same keys, but another server's
        updates._queues[1].wait(time.monotonic() + PATIENCE_SECONDS)
    assert len(updates._queues[0]._pending) <= _MAX_PENDING
    expected = {key: error + 0.25 for key, error in zip(keys.tolist(), range(1, 9), strict=True)}
    assert priorities(client) == expected
    assert scale.largest == 50.25
    updates.flush(0.1)  # no longer than it is to
    updates.close(0.1)


def test_a_server_that_comes_back_with_less_hears_of_what_it_still_has(tmp_path: Path) -> None:
    """And what it has lost is passed over: a checkpoint keeps keys and priorities, of eight items out of sixteen."""
    server = serve(tmp_path)
    client, keys = filled(server)
    updates = PriorityUpdates([client.server_address], PriorityScale(SETTINGS))
    updates(of(0, keys, [float(i) for i in range(8)]))
    updates.flush(PATIENCE_SECONDS)
    before = priorities(client)
    client.checkpoint()
    _, more = filled(server)
    assert len(more) == 16
    server.stop()
    updates(of(0, more, [7.0] * 16))  # returns at once, and goes out when the server is back
    server = serve(tmp_path, server.port)
    updates.flush(PATIENCE_SECONDS)
    assert priorities(reverb.Client(client.server_address)) == dict.fromkeys(before, 7.25)
    updates.close(PATIENCE_SECONDS)
    server.stop()


def test_what_has_arrived_when_flush_returns_is_in_the_table(server: reverb.Server) -> None:
    client, keys = filled(server)
    updates = PriorityUpdates([client.server_address], PriorityScale(SETTINGS))
    for error in range(30):
        updates(of(0, keys, [float(error)] * 8))
    updates.flush(PATIENCE_SECONDS)
    assert set(priorities(client).values()) == {29.25}
    updates.close(PATIENCE_SECONDS)


def test_flush_waits_for_what_is_just_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[float]] = []

    class SlowClient:
        def __init__(self, address: str):
            assert address == NOBODY

        def update_priorities(self, table: str, keys: tf.Tensor, values: tf.Tensor) -> None:
            time.sleep(0.3)
            told.append(values.numpy().tolist())

    monkeypatch.setattr(reverb, "TFClient", SlowClient)
    updates = PriorityUpdates([NOBODY], PriorityScale(SETTINGS))
    for error in (1.0, 2.0):
        updates(of(0, np.array([7], np.uint64), [error]))
    updates.flush(PATIENCE_SECONDS)
    assert told == [[1.25], [2.25]]
    updates.close(PATIENCE_SECONDS)
