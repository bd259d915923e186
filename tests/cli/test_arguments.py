"""What several verbs take as arguments."""

from pathlib import Path

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.cli import main
from tfdqn.config.toml import dump


def test_an_output_directory_in_the_home_directory_is_made_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("tiny.toml").write_text(dump(tiny("replay.backend=in_graph", "stop.env_steps=400")))
    assert main.main(["train", "tiny.toml", "--run-dir=~/run"]) == 0
    assert (tmp_path / "home" / "run" / "summary.json").is_file()
    assert [each.name for each in here.iterdir()] == ["tiny.toml"]
