"""Replay by its servers' addresses: the ratio between who writes and who samples, and waits that end."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from reverb.errors import DeadlineExceededError

from tests.support.random_episodes import VECTOR, stacked
from tests.support.replay_servers import Actor, Learner, config, served
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.errors import CheckpointError, PeerLostError
from tfdqn.replay.reverb.remote_replay import RemoteReplay
from tfdqn.replay.reverb.remote_writer import HELD_BACK, GivenUpError, remote_writer
from tfdqn.replay.reverb.shards import Shard
from tfdqn.system.addresses import free_addresses

TWO = config("replay.shards=2")
MIN_SIZE, CALL = 104, 5  # of two servers: 13 blocks of 4 on each
FRAMES = config("replay.shards=2", "replay.item=frames", "task.frame_stack=4", "agent.n_step=2")


@contextmanager
def acting(*actors: Actor) -> Iterator[None]:
    """They write for as long as they may, each in a thread of its own."""

    def act(actor: Actor) -> None:
        try:
            while True:
                actor.step()
        except GivenUpError:
            pass

    threads = [threading.Thread(target=act, args=(actor,), daemon=True) for actor in actors]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for actor in actors:
            actor.may_wait = False
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[str]]:
    """The addresses of two servers."""
    addresses = free_addresses(2)
    with served(TWO, tmp_path, addresses):
        yield addresses


def test_two_writers_and_two_servers_keep_the_ratio_within_its_bounds(two: list[str]) -> None:
    actors, learner = [Actor(TWO, two, i) for i in range(2)], Learner(TWO, two)
    with acting(*actors):
        for _ in range(40):
            learner.learn_calls(1)
            until(learner.replay.poll, "answer")
            inserted = learner.replay.transitions()
            for each in learner.replay._shards.counted():
                # Four samples an insert: never more ahead than 13 blocks' worth, three calls and two inserts.
                assert 4 * each.inserted - each.sampled <= 4 * 13 + 3 * 10 + 2 * 4
            # What was learned is what was due at some time before: one update for four transitions.
            assert CALL * learner.calls <= (inserted - MIN_SIZE) / 4
        until(lambda: all(actor.reasons for actor in actors), "waiting")
    until(learner.replay.poll, "answer")
    counted = learner.replay._shards.counted()
    assert abs(counted[0].inserted - counted[1].inserted) <= 2  # a block for each actor
    # The rest is on its way: a writer looks after every 16 blocks whether more than 16 are, to each server.
    written = sum(actor.written for actor in actors)
    assert 0 <= written - learner.replay.transitions() < 2 * (2 * 32 * 4 + 4)


def test_who_acts_is_held_back_while_nobody_learns_and_goes_on_when_somebody_does(two: list[str]) -> None:
    actor, learner = Actor(TWO, two), Learner(TWO, two)
    with acting(actor):
        until(lambda: actor.reasons, "waiting")
        assert actor.reasons == [HELD_BACK]
        until(learner.replay.poll, "answer")
        assert learner.replay.updates_due() >= CALL
        before = actor.written
        learner.learn_calls(20)
        until(lambda: actor.written >= before + 15 * CALL * 4, "acting")
    assert actor.reasons == [HELD_BACK] * len(actor.reasons)


def test_a_server_that_is_slow_is_waited_for_as_such_and_not_as_the_ratio(
    two: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = Actor(TWO, two)

    def time_out(*_: object, **__: object) -> None:
        raise DeadlineExceededError("Deadline Exceeded")

    monkeypatch.setattr("reverb.structured_writer.StructuredWriter.flush", time_out)
    actor.may_wait = False
    actor.write(40)
    assert not actor.writer.flush(0.0)
    assert actor.reasons == [f"waiting for replay server 0 at {two[0]}, which takes items slowly"]
    monkeypatch.setattr(Shard, "ask", lambda shard: False)
    assert not actor.writer.flush(0.0)
    assert actor.reasons[1:] == [f"waiting for replay server 0 at {two[0]}"]


def test_a_writer_gives_up_when_it_is_to_and_can_be_used_again(two: list[str]) -> None:
    actor, learner = Actor(TWO, two), Learner(TWO, two)
    actor.may_wait = False
    with pytest.raises(GivenUpError, match=HELD_BACK):
        actor.write(10_000)
    assert not actor.writer.flush(0.1)
    until(lambda: (learner.learn(), actor.writer.flush(0))[1], "flushing")
    until(learner.replay.poll, "answer")
    # All but a block that is not full; what is written by the step that gave up, it does not say.
    assert -4 <= actor.written - learner.replay.transitions() < 4
    actor.write(40)


def test_actors_begin_their_round_of_the_servers_each_with_another(two: list[str]) -> None:
    learner = Learner(TWO, two)
    for index in (1, 0, 1):
        actor = Actor(TWO, two, index)
        actor.write(4)
        assert actor.writer.flush(PATIENCE_SECONDS)
    until(learner.replay.poll, "answer")
    assert [each.inserted for each in learner.replay._shards.counted()] == [1, 2]


def test_frames_on_two_servers_are_held_back_by_asking(tmp_path: Path) -> None:
    addresses, spec = free_addresses(2), stacked(4)
    with served(FRAMES, tmp_path, addresses, spec):
        actor, learner = Actor(FRAMES, addresses, 0, spec), Learner(FRAMES, addresses, spec)
        with acting(actor):
            until(lambda: actor.reasons, "waiting")
            until(learner.replay.poll, "answer")
            assert learner.replay.updates_due() >= 3 * CALL
            learner.learn_calls(30)
        assert set(actor.reasons) == {HELD_BACK}
        until(learner.replay.poll, "answer")
        # It asks four times a second, and acts on in between.
        assert CALL * learner.calls <= (learner.replay.transitions() - 100) / 4


def test_what_was_written_never_counts_less_though_a_server_comes_back_with_less(tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    with ExitStack() as first:
        first.enter_context(served(config(), tmp_path / "a", [address]))
        replay = RemoteReplay(config(), VECTOR, [address])
        actor = Actor(config(), [address])
        actor.write(80)
        actor.writer.flush(PATIENCE_SECONDS)
        until(replay.poll, "answer")
        assert replay.transitions() == replay.size() == 80
    with served(config(), tmp_path / "b", [address]):
        until(replay.poll, "answer")
        assert (replay.transitions(), replay.size()) == (80, 0)
        actor.write(20)
        actor.writer.flush(PATIENCE_SECONDS)
        until(replay.poll, "answer")
        assert (replay.transitions(), replay.size()) == (100, 20)


def test_servers_that_are_emptied_count_from_0_again_and_fill_again(two: list[str]) -> None:
    actor, replay = Actor(TWO, two), RemoteReplay(TWO, VECTOR, two)
    actor.write(80)
    actor.writer.flush(PATIENCE_SECONDS)
    until(replay.poll, "answer")
    assert replay.size() == replay.transitions() == 80
    replay.clear()
    assert (replay.size(), replay.can_be_sampled(), replay.updates_due_unsampled()) == (0, False, -MIN_SIZE // 4)
    learner = Learner(TWO, two)
    with acting(Actor(TWO, two)):
        learner.learn_calls(3)
    until(learner.replay.poll, "answer")
    assert CALL * learner.calls <= (learner.replay.transitions() - MIN_SIZE) / 4


def test_what_was_emptied_does_not_come_back_with_a_server_s_checkpoint(tmp_path: Path) -> None:
    addresses = free_addresses(2)
    with served(TWO, tmp_path, addresses):
        actor, replay = Actor(TWO, addresses), RemoteReplay(TWO, VECTOR, addresses)
        actor.write(80)
        actor.writer.flush(PATIENCE_SECONDS)
        replay.save()
        replay.clear()
    with served(TWO, tmp_path, addresses) as shards:
        assert [shard.size() for shard in shards] == [0, 0]


def test_servers_that_are_gone_are_not_emptied() -> None:
    (gone,) = free_addresses(1)
    with pytest.raises(PeerLostError, match=f"replay server 0 at {gone} does not answer"):
        RemoteReplay(config(), VECTOR, [gone]).clear()


def test_a_server_that_is_not_there_is_named_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.replay.reverb.shards._REPLY_SECONDS", 1)
    here, gone = free_addresses(2)
    replay = RemoteReplay(TWO, VECTOR, [here, gone])
    assert not replay.poll()
    assert [line.partition(" has been silent for ")[0] for line in replay.silent()] == [
        f"replay server 0 at {here}",
        f"replay server 1 at {gone}",
    ]
    assert replay.silent(1_000) == []
    with pytest.raises(CheckpointError, match=f"replay server 0 at {here} does not answer; replay server 1"):
        replay.save()
    reasons = []
    with pytest.raises(GivenUpError):
        remote_writer(TWO, VECTOR, [here, gone], 4, 0, lambda reason: bool(reasons.append(reason)))
    assert reasons == [f"waiting for replay server 0 at {here}, replay server 1 at {gone}"]


def test_a_checkpoint_is_every_servers_own(two: list[str], tmp_path: Path) -> None:
    actor, replay = Actor(TWO, two), RemoteReplay(TWO, VECTOR, two)
    actor.write(40)
    actor.writer.flush(PATIENCE_SECONDS)
    replay.save()
    assert all(len(list((tmp_path / str(i) / "checkpoints").glob("*/DONE"))) == 1 for i in range(2))
