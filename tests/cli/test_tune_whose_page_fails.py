"""A search whose page can't be written: what it has found is printed, and what follows goes on."""

import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.studies import searched
from tfdqn.cli import main
from tfdqn.config import toml
from tfdqn.tuning import trial_runs
from tfdqn.tuning.study import Study

FAKE = (sys.executable, str(PROJECT / "tests" / "support" / "fake_trial.py"))


def test_the_best_trial_is_printed_and_one_warning_says_why_there_is_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setattr("tfdqn.tuning.child_runs._LOOK_SECONDS", 0.02)
    monkeypatch.setattr(trial_runs, "search", partial(trial_runs.search, command=FAKE))
    Path("small.toml").write_text(toml.dump(searched()))
    Path("space.toml").write_text('"agent.n_step" = { low = 1, high = 5, step = 2 }\n')

    def write_page(study: Study) -> None:
        study.folder.page.touch()  # as an earlier search has written it
        raise ValueError("Expected end_group")

    monkeypatch.setattr("tfdqn.tuning.study_page.write_page", write_page)
    assert main.main(["tune", "small.toml", "space.toml", "--trials", "1"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines.count("warning: the page is not written: ValueError: Expected end_group") == 1
    assert "its configuration runs/small-tune/best.toml" in lines
    assert not any(line.startswith("page ") for line in lines)
    assert lines[-2] == "To train the best configuration:"
