"""What a system to track in needs is refused in one line before anything starts."""

import sys
from pathlib import Path

import pytest

from tests.support.fake_wandb import FakeWandB
from tfdqn.config import Tracking
from tfdqn.errors import ConfigError
from tfdqn.tracking.systems import SYSTEMS, absolute, mlflow_tracking_uri, require_systems, wanted_systems

ONLINE, OFFLINE = Tracking(wandb=True), Tracking(wandb=True, wandb_mode="offline")


def test_none_is_wanted_by_default_and_each_by_its_key() -> None:
    assert wanted_systems(Tracking()) == []
    assert [wanted_systems(Tracking(**{name: True})) for name in SYSTEMS] == [[name] for name in SYSTEMS]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_missing_package_is_named_with_its_extra(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).mkdir()  # W&B's own folder beside the user
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ConfigError, match=rf"^tracking\.{name} = true needs {name}, .* pip install .*\[{name}\]\"$"):
        require_systems(Tracking(**{name: True}))


def test_who_is_not_logged_in_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandB(tmp_path, monkeypatch)
    require_systems(ONLINE)
    fake.will(fail="not logged in")
    require_systems(OFFLINE)
    with pytest.raises(ConfigError, match=r"^tracking\.wandb = true: not logged in .* `wandb login`, "):
        require_systems(ONLINE)
    monkeypatch.setenv("WANDB_MODE", "offline")
    require_systems(ONLINE)
    with pytest.raises(ConfigError):
        require_systems(Tracking(wandb=True, wandb_mode="online"))
    monkeypatch.setenv("WANDB_API_KEY", "a key")
    require_systems(Tracking(wandb=True, wandb_mode="online"))


def test_a_package_that_does_not_work_is_not_taken_for_a_login_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeWandB(tmp_path, monkeypatch).will(fail="raise when imported")
    with pytest.raises(ConfigError, match=r"^tracking\.wandb = true: wandb can't be used: ImportError: no pl"):
        require_systems(ONLINE)


def test_a_folder_of_mlflow_may_be_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home = Tracking(mlflow=True, mlflow_tracking_uri="~/mlruns")
    assert mlflow_tracking_uri(at_home) == str(tmp_path / "mlruns")
    assert SYSTEMS["mlflow"].place(at_home) == f"{tmp_path}/mlruns tfdqn"
    assert mlflow_tracking_uri(Tracking(mlflow=True)) is None
    for other in ("http://127.0.0.1:5000", "databricks", "databricks://profile", "file:///srv/mlruns", ""):
        assert mlflow_tracking_uri(Tracking(mlflow=True, mlflow_tracking_uri=other)) == other


def test_a_folder_of_mlflow_stays_where_it_is_when_a_run_is_resumed_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    here, there = tmp_path / "here", tmp_path / "there"
    for each in (here / "mlruns", there):
        each.mkdir(parents=True)
    for config in (Tracking(mlflow=True, mlflow_tracking_uri="mlruns"), Tracking(mlflow=True)):
        places = set()
        for folder in (here, there):
            monkeypatch.chdir(folder)
            places.add(SYSTEMS["mlflow"].place(config))
        assert len(places) == 1
        for store in (str(here / "mlruns"), (here / "mlruns").as_uri(), "http://127.0.0.1:5000"):
            assert mlflow_tracking_uri(config, store) == store
    moved = Tracking(mlflow=True, mlflow_tracking_uri="mlruns")  # the run, with the folder
    assert mlflow_tracking_uri(moved, str(tmp_path / "before" / "mlruns")) == str(there / "mlruns")


@pytest.mark.parametrize("options", ["", "?timeout=30"])
@pytest.mark.parametrize("driver", ["sqlite", "sqlite+pysqlite"])
def test_an_sqlite_file_of_mlflow_stays_where_it_is_just_so(
    driver: str, options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for each in (here, there):
        each.mkdir()
    (here / "mlflow.db").touch()
    monkeypatch.chdir(here)
    config = Tracking(mlflow=True, mlflow_tracking_uri=f"{driver}:///mlflow.db{options}")
    store = f"{driver}:///{here}/mlflow.db{options}"
    assert mlflow_tracking_uri(config) == absolute(f"{driver}:///mlflow.db{options}") == absolute(store) == store
    monkeypatch.chdir(there)
    assert mlflow_tracking_uri(config, store) == store
    (here / "mlflow.db").rename(there / "mlflow.db")
    assert mlflow_tracking_uri(config, store) == f"{driver}:///{there}/mlflow.db{options}"


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_database_in_memory_has_no_file(uri: str) -> None:
    assert absolute(uri) == uri
