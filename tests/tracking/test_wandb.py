"""W&B's own package, offline: what it has written is what it was told, and nothing of it is left running."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.run_files import a_summary
from tests.support.tracker_processes import started_tracker
from tfdqn.config import Tracking
from tfdqn.records import EpisodeScores
from tfdqn.storage.run_directory import RunDir
from tfdqn.tracking.systems import require_systems
from tfdqn.tracking.tracker import Point, TrackerError

pytestmark = pytest.mark.tracking

CONFIG = Tracking(wandb=True, wandb_mode="offline", wandb_project="poles", wandb_group="five", name="p1", tags=("a",))
FINAL = EpisodeScores(
    episodes=5, mean_return=480.0, std_return=1.0, median_return=480.0, ci_low=470.5, ci_high=490.25, mean_length=480.0
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # without a login
    for folder in ("exports/1", "videos"):
        (tmp_path / "run" / folder).mkdir(parents=True)
    return RunDir(tmp_path / "run")


def records(run: RunDir) -> Iterator[Any]:
    """What `wandb sync` would send, of all sessions."""
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    for file in sorted(run.path.glob("wandb/offline-run-*/*.wandb")):
        store = DataStore()
        store.open_for_scan(str(file))
        while (data := store.scan_data()) is not None:
            yield Record.FromString(data)


def history(run: RunDir) -> list[dict[str, Any]]:
    items = [record.history.item for record in records(run) if record.WhichOneof("record_type") == "history"]
    own = [{each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in item} for item in items]
    rows = [each["_step"] for each in own]
    assert rows == sorted(set(rows))  # over all sessions
    return [{key: value for key, value in each.items() if not key.startswith("_")} for each in own]


def services() -> set[int]:
    """W&B's own processes that run on this machine."""
    running = psutil.process_iter(["name", "status"])
    return {
        each.pid
        for each in running
        if each.info["name"] == "wandb-core" and each.info["status"] != psutil.STATUS_ZOMBIE
    }


def test_files_read_back_hold_the_numbers_that_were_written(run: RunDir) -> None:
    said: list[str] = []
    process = started_tracker("wandb", CONFIG, run, said.append)
    process.hyperparameters({"seed": 1, "optimizer.learning_rate": 2.5e-4, "agent.kind": "dqn"})
    losses = {100: 0.1 + 0.2, 200: 1e-12, 300: 3.0}
    for env_steps, loss in losses.items():
        process.scalars({"learning/loss": loss}, Point(env_steps, env_steps // 10, env_steps / 7))
    video, policy = run.videos / "1.mp4", run.exports / "1"
    video.write_bytes(b"a video")
    (policy / "saved_model.pb").write_bytes(b"a policy")
    paths = {"exported policy": str(policy)}
    process.summary(a_summary(best_return=490.0, final=FINAL, paths=paths), Point(300, 30, 50.0))
    process.video("evaluation/best", video, Point(300, 30, 51.0))
    process.close()

    [begun] = [record.run for record in records(run) if record.WhichOneof("record_type") == "run"]
    assert (begun.project, begun.run_group, begun.display_name, list(begun.tags)) == ("poles", "five", "p1", ["a"])
    told = history(run)
    assert told[:3] == [
        {"learning/loss": loss, "env_steps": at, "train_steps": at // 10, "seconds": at / 7}
        for at, loss in losses.items()
    ]
    assert told[3]["env_steps"] == 300
    [kept] = run.path.glob("wandb/offline-run-*/files/media/videos/evaluation/*.mp4")
    assert kept.read_bytes() == b"a video"
    updates = [each for record in records(run) for each in (*record.run.config.update, *record.config.update)]
    config = {each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in updates}
    assert config.items() >= {"seed": 1, "optimizer.learning_rate": 2.5e-4, "agent.kind": "dqn"}.items()
    summed = {
        each.key or "/".join(each.nested_key): json.loads(each.value_json)
        for record in records(run)
        for each in record.summary.update
    }
    final = {"final/return": 480.0, "final/best_return": 490.0, "final/ci_low": 470.5, "final/ci_high": 490.25}
    assert summed.items() >= final.items()
    [artifact] = [record.artifact for record in records(run) if record.WhichOneof("record_type") == "artifact"]
    assert artifact.type == "model"
    axes = {
        each.glob_name or each.name: each.step_metric for each in (r.metric for r in records(run)) if each.ByteSize()
    }
    assert axes["*"] == "env_steps"
    [line] = said
    assert line.startswith("wandb: offline; to send it: wandb sync ")
    assert Path(line.split("wandb sync ")[1]).is_dir()


def test_a_second_session_goes_on_under_the_same_id_and_leaves_no_process(run: RunDir) -> None:
    before = services()
    for env_steps in (100, 200):
        process = started_tracker("wandb", CONFIG, run, lambda line: None)
        for at in range(100, env_steps + 100, 100):  # the second begins with steps that the first has taken
            process.scalars({"learning/loss": 1.0}, Point(at, 10, 1.0))
        process.close()
    ids = [record.run.run_id for record in records(run) if record.WhichOneof("record_type") == "run"]
    assert len(ids) == 2 and len(set(ids)) == 1
    assert [each["env_steps"] for each in history(run)] == [100, 200]
    assert services() <= before


def test_without_a_login_it_is_refused_early_and_without_a_network_in_one_line(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfdqn.errors import ConfigError

    online = Tracking(wandb=True)
    with pytest.raises(ConfigError, match="not logged in"):
        require_systems(online)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    require_systems(online)
    with pytest.raises(TrackerError) as raised:
        started_tracker("wandb", online, run, print)
    assert "\n" not in str(raised.value) and len(str(raised.value)) <= 300
    assert os.environ["WANDB_API_KEY"] not in str(raised.value)
