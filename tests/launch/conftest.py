from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.tiny_runs import tiny
from tfdqn.config.toml import dump
from tfdqn.storage.run_directory import RunDir


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stand-ins find what they are told, and leave what they did."""
    monkeypatch.setenv("STAND_INS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setattr("tfdqn.launch.supervisor._LOOK_SECONDS", 0.02)
    return tmp_path


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run that begins, and has not reported yet."""
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    run.config_file.write_text(dump(tiny()))
    return run
