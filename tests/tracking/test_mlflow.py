"""MLflow's own package: a folder's files read back, and a server that is not there."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.run_files import a_summary
from tests.support.tracker_processes import started_tracker
from tfdqn.config import Tracking
from tfdqn.storage.run_directory import RunDir
from tfdqn.tracking.tracker import Point, TrackerError

pytestmark = pytest.mark.tracking


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "run" / "exports" / "1").mkdir(parents=True)
    return RunDir(tmp_path / "run")


def runs_in(folder: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(str(folder))
    [experiment] = client.search_experiments(filter_string="name = 'poles'")
    return list(client.search_runs([experiment.experiment_id]))


def curve(folder: Path, run_id: str, name: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    return [(each.step, each.value) for each in MlflowClient(str(folder)).get_metric_history(run_id, name)]


def test_files_read_back_hold_the_numbers_that_were_written(tmp_path: Path, run: RunDir) -> None:
    folder = tmp_path / "mlruns"
    config = Tracking(mlflow=True, mlflow_tracking_uri=str(folder), mlflow_experiment="poles", tags=("a", "b"))
    configuration = {f"section.key_{number}": number for number in range(150)}
    losses = {100: 0.1 + 0.2, 200: 1e-12, 300: 3.0}
    process = started_tracker("mlflow", config, run, lambda line: None)
    process.hyperparameters(configuration)
    process.text("configuration", "seed = 1")
    for env_steps in (100, 200):
        process.scalars({"learning/loss": losses[env_steps]}, Point(env_steps, env_steps // 10, 1.5))
    process.close()
    [stopped] = runs_in(folder)
    assert stopped.info.status == "KILLED"

    video, policy = tmp_path / "1.mp4", run.exports / "1"
    video.write_bytes(b"a video")
    (policy / "saved_model.pb").write_bytes(b"a policy")
    process = started_tracker("mlflow", config, run, lambda line: None)
    process.hyperparameters({**configuration, "section.key_0": 7, "new": 1})  # a param never changes
    for env_steps in (100, 200, 300):
        process.scalars({"learning/loss": losses[env_steps]}, Point(env_steps, env_steps // 10, 2.5))
    process.summary(
        a_summary(best_return=490.0, final=None, paths={"exported policy": str(policy)}), Point(300, 30, 50.0)
    )
    process.video("evaluation/best", video, Point(300, 30, 51.0))
    process.close()

    [found] = runs_in(folder)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert found.data.params == {key: str(value) for key, value in {**configuration, "new": 1}.items()}
    assert {"a", "b"} <= set(found.data.tags)
    assert curve(folder, found.info.run_id, "learning/loss") == list(losses.items())
    assert curve(folder, found.info.run_id, "train_steps")[:3] == [(100, 10.0), (200, 20.0), (300, 30.0)]
    assert curve(folder, found.info.run_id, "final/best_return") == [(300, 490.0)]
    artifacts = Path(found.info.artifact_uri.removeprefix("file://"))
    assert (artifacts / "policy" / "saved_model.pb").read_bytes() == b"a policy"
    assert (artifacts / "evaluation" / "best" / "1.mp4").read_bytes() == b"a video"
    assert (artifacts / "configuration.md").read_text() == "seed = 1"


def test_a_folder_in_the_home_directory_is_found(tmp_path: Path, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = Tracking(mlflow=True, mlflow_tracking_uri="~/mlruns", mlflow_experiment="poles")
    started_tracker("mlflow", config, run, lambda line: None).close()
    assert len(runs_in(tmp_path / "mlruns")) == 1


@pytest.mark.parametrize("uri", ["store", None])
def test_a_run_that_is_resumed_from_another_folder_goes_on_in_the_same_store(
    uri: str | None, tmp_path: Path, run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Tracking(mlflow=True, mlflow_tracking_uri=uri, mlflow_experiment="poles")
    (tmp_path / "elsewhere").mkdir()
    for folder, env_steps in ((tmp_path, 100), (tmp_path / "elsewhere", 200)):
        monkeypatch.chdir(folder)
        process = started_tracker("mlflow", config, run, lambda line: None)
        process.scalars({"learning/loss": 0.5}, Point(env_steps, 10, 1.5))
        process.close()
    store = tmp_path / (uri or "mlruns")
    [found] = runs_in(store)
    assert [step for step, _ in curve(store, found.info.run_id, "learning/loss")] == [100, 200]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_server_that_is_not_there_is_one_line(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    config = Tracking(mlflow=True, mlflow_tracking_uri="http://127.0.0.1:9")
    with pytest.raises(TrackerError, match=r"^MlflowException: API request to http://127\.0\.0\.1:9") as raised:
        started_tracker("mlflow", config, run, print)
    assert "\n" not in str(raised.value)
