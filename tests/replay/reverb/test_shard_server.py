"""A replay server's table and its directory: what comes back, what is refused, what is put aside."""

import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.random_episodes import VECTOR
from tests.support.replay_servers import Actor, Learner, config, opened, served
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.errors import CheckpointError, ClusterError, ConfigError
from tfdqn.replay.reverb import shard_server
from tfdqn.replay.reverb.shard_server import ShardServer
from tfdqn.storage.replay_directory import ShardDir
from tfdqn.system.addresses import free_addresses


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The directory of a server that was filled, sampled and saved."""
    (address,) = free_addresses(1)
    linked = tmp_path / "linked"
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    linked.symlink_to(os.fsdecode(b"caf\xe9"))  # Reverb takes no path that is not UTF-8
    with served(config(), linked, [address]) as (shard,):
        actor, learner = Actor(config(), [address]), Learner(config(), [address])
        actor.write(160)
        learner.learn_calls(1)
        actor.writer.flush(PATIENCE_SECONDS)
        assert shard.size() == 160
        shard.checkpoint()
    return linked / "0"


def test_it_comes_back_with_what_it_held_and_had_counted(saved: Path) -> None:
    (address,) = free_addresses(1)
    with served(config(), saved.parent, [address]) as (shard,):
        assert shard.size() == 160
        learner = Learner(config(), [address])
        until(learner.replay.poll, "answer")
        assert learner.replay.transitions() == 160
        (counted,) = learner.replay._shards.counted()
        assert counted.inserted == counted.stored == 40
        assert counted.sampled >= 20


def test_a_checkpoint_that_is_not_written_in_time_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    with served(config(), tmp_path, free_addresses(1)) as (shard,):
        monkeypatch.setattr(shard_server, "_CHECKPOINT_SECONDS", 0.1)
        monkeypatch.setattr(shard, "_client", SimpleNamespace(checkpoint=released.wait))
        try:
            with pytest.raises(CheckpointError, match=r"^the checkpoint in .* has not been written in time$"):
                shard.checkpoint()
        finally:
            released.set()


def test_a_directory_that_is_moved_away_is_not_made_again_for_a_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "replay"
    with served(config(), folder, free_addresses(1)) as (shard,):
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(CheckpointError, match=f"^{folder}/0 is gone: it was moved or removed while this process"):
            shard.checkpoint()
    assert not folder.exists()


def test_another_configurations_transitions_are_refused(saved: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"agent\.n_step: 1 in the run, 3 now; choose another run directory \(--run-dir, run_dir in Python\), ",
    ):
        ShardDir(saved).open(config("agent.n_step=3"))
    with pytest.raises(
        ConfigError, match=rf"replay\.capacity: 1000 in the run, 500 now; .* or remove {saved.parent} to"
    ):
        ShardDir(saved).open(config("replay.capacity=500"))
    assert ShardDir(saved).open(config("stop.env_steps=9000", "acting.actors=3", "task.restarts=2")) == []
    (saved / "config.toml").unlink()  # as in an incomplete copy: the table itself is checked when it is restored
    ShardDir(saved).refuse_another(config("agent.n_step=3"))


def test_another_table_is_refused_whatever_the_configuration_says(saved: Path) -> None:
    (address,) = free_addresses(1)
    folder = opened(saved, config())
    with pytest.raises(ConfigError, match="was made with another replay, in items: samples per insert 4"):
        ShardServer(config("learner.env_steps_per_update=8"), VECTOR, address, folder)
    with served(config(), saved.parent, [address]) as (shard,):  # and the address is free again
        assert shard.size() == 160


def test_without_a_checkpoint_another_configuration_may_begin(tmp_path: Path) -> None:
    folder = opened(tmp_path, config())
    folder.write_task_spec(VECTOR)
    assert folder.task_spec() == VECTOR
    opened(tmp_path, config("agent.n_step=3"))
    assert folder.task_spec() is None  # it may be another task's


def test_a_checkpoint_that_was_being_written_is_removed_and_the_one_before_restored(saved: Path) -> None:
    folder = ShardDir(saved)
    whole = folder.checkpoint()
    assert whole is not None
    half = whole.with_name("2999-01-01T00:00:00.000000000+00:00")
    shutil.copytree(whole, half)
    (half / "DONE").unlink()
    (address,) = free_addresses(1)
    with served(config(), saved.parent, [address]) as (shard,):
        assert not half.exists()
        assert shard.size() == 160
        shard.checkpoint()
        assert folder.checkpoint() not in (whole, None)


@pytest.mark.parametrize("file", ["chunks.tfrecord", "items.tfrecord", "tables.tfrecord"])
def test_a_damaged_checkpoint_is_put_aside_and_said(saved: Path, file: str) -> None:
    whole = ShardDir(saved).checkpoint()
    assert whole is not None
    content = (whole / file).read_bytes()
    (whole / file).write_bytes(content[:-7])  # within the last record
    (address,) = free_addresses(1)
    with served(config(), saved.parent, [address]) as (shard,):
        assert shard.size() == 0
        assert f"{saved / 'damaged' / whole.name} is damaged: corrupted record" in shard.damage
        shard.checkpoint()


@pytest.mark.parametrize("file", ["chunks.tfrecord", "items.tfrecord", "tables.tfrecord"])
def test_a_file_of_a_checkpoint_that_is_missing_is_not_taken_for_an_empty_table(saved: Path, file: str) -> None:
    folder = ShardDir(saved)
    whole = folder.checkpoint()
    assert whole is not None
    (whole / file).unlink()
    assert folder.open(config()) == [f"{saved / 'damaged' / whole.name} lacks {file}"]
    assert folder.checkpoint() is None


def test_an_address_is_served_once(tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    with (
        served(config(), tmp_path, [address]),
        pytest.raises(ClusterError, match=f"{address} can't be served: Address already in use"),
    ):
        ShardServer(config(), VECTOR, address, opened(tmp_path / "other", config()))
