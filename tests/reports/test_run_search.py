"""Where runs are found in a folder, and what is none although it has a config.toml."""

import os
from pathlib import Path

from tests.support.reported_runs import reported_run, seeds
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.reports.run_search import find_runs
from tfdqn.storage.run_directory import RunDir


def found(path: Path) -> list[str]:
    runs, unreadable = find_runs(path)
    assert unreadable == {}
    return [str(each.relative_to(path)) for each in runs]


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
    with RunDir(tmp_path / "killed").claim_alone(Config()):
        pass
    assert found(tmp_path) == ["killed"]


def test_a_folder_of_seeds_with_a_configuration_in_it_is_no_run(tmp_path: Path) -> None:
    seeds(tmp_path / "a", [1.0, 2.0])
    (tmp_path / "a" / "config.toml").write_text(dump(Config()))
    (tmp_path / "a" / "lock").touch()
    assert found(tmp_path) == ["a/seed-1", "a/seed-2"]


def test_a_run_whose_path_tensorflow_can_t_take_is_found_so_that_reports_name_it(tmp_path: Path) -> None:
    not_utf8 = os.fsdecode(b"caf\xe9")
    reported_run(tmp_path / "run").rename(tmp_path / not_utf8)
    assert found(tmp_path) == [not_utf8]


def test_runs_are_found_once_whatever_links_lead_to_them(tmp_path: Path) -> None:
    of_a = ["a/seed-1", "a/seed-2", "a/seed-10"]
    for number in (1, 2, 10):
        reported_run(tmp_path / "runs" / "a" / f"seed-{number}")
    for name in ("up", "again"):
        (tmp_path / "runs" / "a" / name).symlink_to(tmp_path)
    (tmp_path / "runs" / "itself").symlink_to("itself")
    reported_run(tmp_path / "beside")  # which is not below `runs`, although a link there leads to its folder
    assert found(tmp_path / "runs") == of_a
    assert found(tmp_path) == ["beside", *(f"runs/{each}" for each in of_a)]
    (tmp_path / "linked").symlink_to(tmp_path / "runs")
    assert found(tmp_path / "linked") == of_a


def test_a_folder_is_searched_from_its_nearest_path(tmp_path: Path) -> None:
    """By the link, which is met earlier in a walk into the depth, its runs would be too far below."""
    seeds(tmp_path / "z" / "1" / "2", [1.0])
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "link").symlink_to(tmp_path / "z")
    assert found(tmp_path) == ["z/1/2/seed-1"]
