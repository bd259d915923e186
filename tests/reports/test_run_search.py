"""Where runs are found in a folder, and what is none although it has a config.toml."""

from pathlib import Path

import pytest

from tests.support.reported_runs import seeds
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.reports.run_search import runs_below
from tfdqn.storage.run_directory import RunDir


def found(path: Path) -> list[str]:
    return [str(each.relative_to(path)) for each in runs_below(path, lambda folder, error: pytest.fail(str(error)))]


def test_the_fresh_seeds_of_a_study_are_found_from_two_folders_above_it(tmp_path: Path) -> None:
    seeds(tmp_path / "runs" / "study" / "best" / "trial-007", [1.0, 2.0])
    of_best = "runs/study/best/trial-007"
    assert found(tmp_path) == [f"{of_best}/seed-1", f"{of_best}/seed-2"]
    seeds(tmp_path / "too" / "many" / "levels" / "below" / "it", [1.0])
    assert len(found(tmp_path)) == 2


def test_a_folder_of_manifests_or_of_the_user_is_no_run_and_may_hold_runs(tmp_path: Path) -> None:
    for folder, beside in (("compose", "compose.yaml"), ("run-job-3", "cluster.json"), ("mine", "notes.txt")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.toml").write_text(dump(Config()))
        (tmp_path / folder / beside).touch()
    seeds(tmp_path / "mine" / "runs", [1.0])
    assert found(tmp_path) == ["mine/runs/seed-1"]


def test_a_run_that_never_began_is_found_so_that_reports_name_it(tmp_path: Path) -> None:
    with RunDir(tmp_path / "killed").claim(Config()):
        pass
    assert found(tmp_path) == ["killed"]
