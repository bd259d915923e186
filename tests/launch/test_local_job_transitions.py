"""`tfdqn launch` in a run whose replay servers have kept transitions of another configuration."""

from pathlib import Path

import pytest

from tests.support.commands import write_config
from tests.support.run_files import a_summary
from tests.support.tiny_runs import tiny
from tfdqn.cli import main
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.records import Counters
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.replay_directory import ShardDir
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import write_summary


def a_shard(run: Path, config: Config) -> Path:
    """Leaves a checkpoint of a replay server; returns it."""
    shard = ShardDir(run / "replay" / "0")
    assert shard.open(config) == []
    made = shard.checkpoints / "2026-01-01"
    made.mkdir()
    for name in ("DONE", "chunks.tfrecord", "items.tfrecord", "tables.tfrecord"):
        (made / name).write_bytes(b" ")
    return made


def test_transitions_of_another_configuration_are_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = a_shard(Path("run"), tiny("replay.capacity=500"))
    Path("run/config.toml").write_text(dump(tiny()))
    assert main.main(["launch", write_config(tmp_path), "--run-dir", "run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tfdqn: run/replay/0 holds transitions of another configuration: replay.capacity: 500 in")
    assert made.exists() and not list(tmp_path.rglob("*.log"))


def test_a_finished_job_refuses_another_number_of_servers_as_it_would_when_it_is_trained_further(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, two = RunDir("run"), tiny("replay.shards=2")
    a_shard(run.path, two)
    run.config_file.write_text(dump(two))
    CheckpointManager(run.checkpoints).save(Counters(env_steps=1_200, train_steps=250), {}, lambda _: None)
    write_summary(run.summary_file, a_summary())
    asked = ["launch", write_config(tmp_path), "--run-dir", "run", "--replay-servers"]
    assert main.main([*asked, "2"]) == 0
    assert "replay.shards=2 stop.env_steps=2400 --run-dir run" in capsys.readouterr().out.splitlines()[-1]
    assert main.main([*asked, "3"]) == 2
    written = capsys.readouterr()
    assert "replay.shards: 2 in the run, 3 now" in written.err and "To resume beyond this" not in written.out
    assert run.config() == two
