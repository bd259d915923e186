from pathlib import Path

import pytest

from tests.support.commands import PROJECT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stand-ins find what they are told, and leave what they did."""
    monkeypatch.setenv("STAND_INS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setattr("tfdqn.launch.supervisor._LOOK_SECONDS", 0.02)
    return tmp_path
