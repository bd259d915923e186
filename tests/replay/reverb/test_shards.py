"""Asking replay servers how they stand: nothing is counted twice, and nothing is due while one holds nothing."""

import threading
from typing import Any

import pytest

from tests.support.random_episodes import VECTOR
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.replay.replay_ratio import Balance
from tfdqn.replay.reverb.remote_replay import RemoteReplay, RemoteReplayRatio
from tfdqn.replay.reverb.server import TABLE
from tfdqn.replay.reverb.shards import Shard, Shards, TableCounts


class _Statistics:
    def __init__(self, completed: int):
        self.completed = completed
        self.insert_stats = self.sample_stats = self
        self.rate_limiter_info, self.current_size = self, completed
        self.samples_per_insert, self.max_diff, self.min_size_to_sample = 1.0, 1e9, 1


class SlowAtFirst:
    """A server whose first answer is under way for long; each says that ten more items were inserted."""

    def __init__(self, _: str):
        self.questions = 0
        self.may_arrive = threading.Event()

    def server_info(self, timeout: int) -> dict[str, Any]:
        self.questions += 1
        answer = {TABLE: _Statistics(10 * self.questions)}
        if self.questions == 1:
            assert self.may_arrive.wait(60)
        return answer


def test_an_answer_that_is_overtaken_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reverb.Client", SlowAtFirst)
    shard = Shard(0, "localhost:1")
    first, second = (threading.Thread(target=shard.ask, daemon=True) for _ in range(2))
    first.start()
    until(lambda: shard.client.questions == 1, "first question")
    second.start()
    second.join(0.3)
    shard.client.may_arrive.set()
    for thread in (first, second):
        thread.join(60)
    assert shard.ask()
    assert (shard.inserted, shard.counted.inserted) == (30, 30)


def test_a_server_that_does_not_answer_the_newest_question_in_time_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reverb.Client", SlowAtFirst)
    shards = Shards(["localhost:1", "localhost:2"])
    for each in shards.each:
        each.client.may_arrive.set()
    monkeypatch.setattr("tfdqn.replay.reverb.shards._POLL_SECONDS", 60.0)
    assert shards.poll()
    monkeypatch.setattr("tfdqn.replay.reverb.shards._POLL_SECONDS", 0.1)
    slow = shards.each[1].client
    slow.questions = 0
    slow.may_arrive.clear()
    assert not shards.poll()
    until(lambda: shards.each[0].answers, "the other's answer")
    assert [line.partition(" has")[0] for line in shards.silent()] == ["replay server 1 at localhost:2"]
    slow.may_arrive.set()


def test_no_update_is_due_while_a_server_has_come_back_with_nothing() -> None:
    replay = RemoteReplay(tiny("replay.shards=2"), VECTOR, ["localhost:1", "localhost:2"])
    one, other = replay._shards.each
    one.counted = other.counted = TableCounts(inserted=1_000, sampled=100, stored=500)
    ratio = RemoteReplayRatio(replay, Balance(), tiny(), lambda: 0)
    assert ratio.updates_owed() > 0
    other.counted = TableCounts()
    assert ratio.updates_owed() == 0
