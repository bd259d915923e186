"""Several Reverb servers as one replay: filled evenly, sampled evenly, saved and closed together."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.random_episodes import VECTOR, multiset, random_steps, stacked
from tests.support.replay_contents import MakeReplay, drawn, n_step_rows, numbered, stored, write
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.errors import CheckpointError, ConfigError
from tfdqn.replay.reverb.in_process import ReverbReplay
from tfdqn.replay.reverb.server import ReplayServer
from tfdqn.system.addresses import host_and_port
from tfdqn.types import Experience

ENVS = 4


def sizes(replay: ReverbReplay) -> list[int]:
    """Items on each server."""
    return [server.num_items() for server in replay._servers]


@pytest.mark.parametrize("shards", [2, 3])
def test_blocks_go_to_the_servers_in_turn_and_none_is_lost(make: MakeReplay, shards: int) -> None:
    replay = make(n_step=3, shards=shards)
    taken = random_steps(VECTOR, ENVS, 45, np.random.default_rng(1))
    write(replay, taken)
    expected = n_step_rows(VECTOR, taken, 3)
    blocks = len(expected) // 4
    assert sizes(replay) == [len(range(shard, blocks, shards)) for shard in range(shards)]
    for shard in range(shards):
        theirs = [row for block in range(shard, blocks, shards) for row in expected[4 * block : 4 * block + 4]]
        assert multiset(stored(replay, shard)) == multiset(theirs)


def test_the_turn_goes_on_where_it_was_saved(make: MakeReplay, tmp_path: Path) -> None:
    replay = make(shards=2)
    write(replay, numbered(3))
    assert sizes(replay) == [2, 1]
    replay.save(tmp_path)
    restored = make(shards=2)
    restored.restore(tmp_path)
    restored.load_state(replay.state())
    assert sizes(restored) == [2, 1]
    write(restored, numbered(1, first=100))
    assert sizes(restored) == [2, 2]
    for server, blocks in enumerate(([0, 2], [1, 25])):
        found = {int(row["observation/observation"][0]) // 4 for row in stored(restored, server)}
        assert found == set(blocks)


def test_capacity_and_minimum_are_divided_evenly_in_whole_blocks(make: MakeReplay) -> None:
    replay = make(shards=3, block_size=4, capacity=71, min_size=25)
    assert (replay.capacity, replay.min_size) == (60, 36)  # five blocks on each server; three before sampling
    write(replay, numbered(40))
    assert sizes(replay) == [5, 5, 5]
    assert replay.size() == 60
    newest = {int(row["observation/observation"][0]) for server in range(3) for row in stored(replay, server)}
    assert newest == set(range(100, 160))
    with pytest.raises(ConfigError, match=r"replay\.capacity 11 is less than one block of 4 for each of 3 sha"):
        make(shards=3, block_size=4, capacity=11)


@pytest.mark.parametrize(("batch", "of_each"), [(16, {8}), (24, {12}), (8, {4})])
def test_every_batch_of_a_call_has_equally_many_of_every_server(
    make: MakeReplay, batch: int, of_each: set[int]
) -> None:
    replay = make(shards=2)
    write(replay, numbered(40))
    sample = tf.function(replay.sampler(6 * batch), autograph=False)
    for _ in range(3):
        servers = drawn(sample()) // 4 % 2
        assert {int(part.sum()) for part in servers.reshape(6, batch)} == of_each


def test_what_does_not_divide_is_made_up_for_by_the_next_calls(make: MakeReplay) -> None:
    replay = make(shards=3)
    write(replay, numbered(60))
    sample = tf.function(replay.sampler(4 * 5), autograph=False)  # five blocks of three servers
    calls = [np.bincount(drawn(sample()) // 4 % 3, minlength=3) // 4 for _ in range(6)]
    assert {tuple(sorted(call)) for call in calls} == {(1, 2, 2)}
    assert np.sum(calls, axis=0).tolist() == [10, 10, 10]


def test_every_stored_transition_is_drawn_about_equally_often(make: MakeReplay) -> None:
    replay = make(shards=2, block_size=2, capacity=16)
    write(replay, numbered(10))
    sample = tf.function(replay.sampler(4000), autograph=False)
    counts = np.bincount(np.concatenate([drawn(sample()) for _ in range(10)]), minlength=40)
    assert (counts[:24] == 0).all()  # the oldest have gone
    # 20,000 blocks drawn, of eight: 2,500 ± 47 of each, and five standard deviations
    assert abs(counts[24:] - 2500).max() < 235


def test_frames_of_an_environment_stay_on_one_server(make: MakeReplay) -> None:
    spec = stacked(3)
    replay = make(spec, n_step=2, item="frames", shards=2)
    taken = random_steps(spec, ENVS, 40, np.random.default_rng(2))
    write(replay, taken)
    for server in range(2):
        part = [of_envs(step, slice(server, None, 2)) for step in taken]
        assert multiset(stored(replay, server)) == multiset(n_step_rows(spec, part, 2))


def of_envs(taken: Experience, envs: slice) -> Experience:
    """The same step of some of the environments."""
    step = taken.step
    rows = {name: getattr(step, name)[envs] for name in ("reward", "terminated", "truncated", "is_reset")}
    after = {key: value[envs] for key, value in step.observation.items()}
    before = {key: value[envs] for key, value in taken.observation.items()}
    return Experience(before, None, taken.action[envs], step._replace(observation=after, **rows))


def test_frames_are_sampled_from_the_servers_in_turn(make: MakeReplay) -> None:
    spec = stacked(2)
    replay = make(spec, item="frames", shards=2, min_size=100)
    taken = random_steps(spec, ENVS, 30, np.random.default_rng(2))
    # Environment 1 begins late: its server has less than half of the minimum when both together have it.
    late = [step._replace(step=step.step._replace(is_reset=np.array([False, True, False, True]))) for step in taken]
    write(replay, late)
    assert replay.size() >= 50 and 0 in sizes(replay)
    for server in replay._servers:
        info = server.client.server_info(timeout=60)["transitions"]
        assert info.rate_limiter_info.min_size_to_sample == 1
    write(replay, taken)
    theirs = [{row["observation/observation"].tobytes() for row in stored(replay, server)} for server in (0, 1)]
    sample = tf.function(replay.sampler(20), autograph=False)()
    frames = [each.numpy().tobytes() for each in sample.transition.time_step.observation["observation"]]
    assert all(frame in theirs[i % 2] for i, frame in enumerate(frames))


@pytest.mark.parametrize("item", ["block", "frames"])
def test_every_server_is_saved_and_restored(make: MakeReplay, tmp_path: Path, item: str) -> None:
    spec = stacked(2)
    replay = make(spec, item=item, shards=2)
    taken = random_steps(spec, ENVS, 60, np.random.default_rng(6))
    write(replay, taken[:30])
    before = [multiset(stored(replay, server)) for server in range(2)]
    replay.save(tmp_path)
    write(replay, taken[30:])
    restored = make(spec, item=item, shards=2)
    restored.restore(tmp_path)
    assert [multiset(stored(restored, server)) for server in range(2)] == before
    write(restored, taken[30:])
    assert len(tf.function(restored.sampler(8), autograph=False)().transition.action_step.action) == 8


@pytest.mark.parametrize(("before", "now"), [(1, 2), (2, 1), (2, 3)])
def test_a_checkpoint_of_another_number_of_shards_says_what_to_set(
    make: MakeReplay, tmp_path: Path, before: int, now: int
) -> None:
    replay = make(shards=before)
    write(replay, numbered(20))
    replay.save(tmp_path)
    with pytest.raises(ConfigError, match=rf"set replay\.shards = {before}") as caught:
        make(shards=now).restore(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_all_servers_are_closed_at_once(make: MakeReplay, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = make(shards=3)
    all_closing, close = threading.Barrier(3, timeout=PATIENCE_SECONDS), ReplayServer.close

    def close_beside_the_others(server: ReplayServer) -> None:
        all_closing.wait()
        close(server)

    monkeypatch.setattr(ReplayServer, "close", close_beside_the_others)
    closing = threading.Thread(target=replay.close, daemon=True)
    closing.start()
    closing.join(PATIENCE_SECONDS)
    assert not closing.is_alive()


def test_several_threads_fill_the_same_blocks_without_losing_anything(make: MakeReplay) -> None:
    replay = make(shards=2, capacity=100_000)
    lots = [random_steps(VECTOR, ENVS, 400, np.random.default_rng(i)) for i in range(4)]
    writers = [replay.writer(ENVS) for _ in lots]
    threads = [
        threading.Thread(target=lambda w=writer, lot=lot: [w.write(step) for step in lot])  # type: ignore[misc]
        for writer, lot in zip(writers, lots, strict=True)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    finally:
        sys.setswitchinterval(interval)
    replay._kind.flush()
    expected = multiset([row for lot in lots for row in n_step_rows(VECTOR, lot, 1)])
    partial = len(replay.state()["partial_block"])
    found = multiset([row for server in range(2) for row in stored(replay, server)])
    assert len(found) == len(expected) - partial
    assert set(found) <= set(expected)


@pytest.mark.parametrize(
    ("host", "written"), [("host-a", "host-a"), ("10.0.0.1", "10.0.0.1"), ("fd00::1", "[fd00::1]")]
)
def test_who_reaches_this_host_by_a_name_is_told_of_every_server_there(
    make: MakeReplay, host: str, written: str
) -> None:
    replay = make(shards=2)
    ports = [host_and_port(address)[1] for address in replay.addresses]
    assert len(set(ports)) == 2
    assert replay.addresses_at(host) == [f"{written}:{port}" for port in ports]


def test_a_checkpoint_whose_list_of_files_is_no_text_is_damaged(make: MakeReplay, tmp_path: Path) -> None:
    replay = make(shards=2)
    write(replay, numbered(4))
    replay.save(tmp_path)
    listed = sorted(tmp_path.rglob("sizes.json"))
    listed[-1].write_bytes(listed[-1].read_bytes().replace(b"DONE", b"\xff"))
    with pytest.raises(CheckpointError, match=r"is missing or incomplete: .*can't decode byte 0xff"):
        make(shards=2).restore(tmp_path)
