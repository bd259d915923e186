"""An exported run says what it is; what no evaluation bears out is not exported."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest
import tensorflow as tf

from tests.runs import tiny
from tfdqn.errors import UserError
from tfdqn.exporting import export_run
from tfdqn.exporting.model_card import git_revision
from tfdqn.run_dir import RunDir


def test_the_card_says_what_it_is_and_where_it_comes_from(run: RunDir) -> None:
    version = export_run(run.path)
    card = json.loads((version / "model_card.json").read_text())
    assert card["task"] == "Test-v0"
    assert card["observation"] == {"observation": {"dtype": "float32", "shape": [4]}}
    assert (card["actions"], card["first_action"], card["action_masks"]) == ([3], [0], False)
    assert (card["checkpoint"], card["train_steps"]) == ("best", 1_270)
    assert (card["evaluation"]["mean_return"], card["evaluation"]["episodes"]) == (200.0, 3)
    assert card["versions"]["tensorflow"] == tf.__version__
    assert card["configuration"] == json.loads(msgspec.json.encode(tiny()))
    assert card["git_revision"] is None or re.fullmatch(r"[0-9a-f]{40}(\+changes)?", card["git_revision"])

    page = (version / "model_card.md").read_text()
    assert "| actions | 3 |" in page
    assert "| checkpoint | best, after 1,270 updates |" in page
    assert "greedy mean return 200 (95 %: " in page and " over 3 episodes |" in page
    (configuration,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert tomllib.loads(configuration)["stop"]["env_steps"] == tiny().stop.env_steps


def test_only_what_an_evaluation_bears_out_is_exported(run: RunDir) -> None:
    for asked in (200.5, float("nan")):
        with pytest.raises(
            UserError, match="not exported: the best policy's mean return is 200 over 3 episodes"
        ):
            export_run(run.path, min_return=asked)
    assert not run.exports.exists()
    assert export_run(run.path, min_return=200.0).name == "1"


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_the_revision_is_that_of_the_source_alone(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x")
        done = subprocess.run(["git", *who, *arguments], cwd=tmp_path, capture_output=True, check=True)
        return done.stdout.decode().strip()

    source = tmp_path / "package"
    source.mkdir()
    (source / "__init__.py").write_text("")
    assert git_revision(source) is None
    git("init", "-q")
    assert git_revision(source) is None  # somebody else's repository
    git("add", ".")
    git("commit", "-qm", "one")
    assert git_revision(source) == git("rev-parse", "HEAD")
    (source / "__init__.py").write_text("x = 1")
    assert git_revision(source) == git("rev-parse", "HEAD") + "+changes"
