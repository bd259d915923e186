"""What several verbs take as arguments."""

import os
from pathlib import Path

import pytest

from tests.support.run_files import finished_run
from tests.support.tiny_runs import tiny
from tfdqn.cli import main
from tfdqn.cli.arguments import link_if_needed, unused_links_removed
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


def test_every_path_may_be_in_the_home_directory_also_where_no_shell_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In quotes, or after an option and its "="."""
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    finished_run(home / "run", tiny(), [5.0, 8.0], 8.0)
    assert main.main(["plot", "~/run", "-o", "~/curve.png"]) == 0
    assert main.main(["plot", "~/run", "-o~/other.png"]) == 0
    assert main.main(["report", "~/run", "--html=~/page.html", "--csv", "~/rows.csv"]) == 0
    assert {"curve.png", "other.png", "page.html", "rows.csv"} <= {each.name for each in home.iterdir()}
    assert not list(Path().iterdir())


def test_an_output_directory_that_is_not_utf8_is_called_by_its_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with unused_links_removed():
        given = link_if_needed(Path(os.fsdecode(b"caf\xe9")) / "run")
        assert given == Path("caf%E9/run") and given.is_dir()
    assert list(tmp_path.iterdir()) == []
    assert link_if_needed(None) is None
