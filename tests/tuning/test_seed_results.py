"""What seeds have come to: each by its files, all together by numbers that are worked out here."""

import json
from pathlib import Path

import pytest

from tests.support.run_files import finished_run, name_own_kinds
from tests.support.tiny_runs import tiny
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.locks import locked
from tfdqn.storage.seeds_folder import SeedsFolder
from tfdqn.tuning.seed_results import summarize, write_summary

FINAL = {1: 10.0, 2: 20.0, 3: 60.0, 4: 100.0, 12: 900.0}


@pytest.fixture
def folder(tmp_path: Path) -> SeedsFolder:
    folder = SeedsFolder(tmp_path / "seeds")
    for seed, final in FINAL.items():
        finished_run(folder.path / f"seed-{seed}", tiny(f"seed={seed}"), [final / 2, final + 1.0], final)
    return folder


def test_means_and_intervals_are_over_the_finished_seeds(folder: SeedsFolder) -> None:
    unfinished = folder.run(20)
    unfinished.path.mkdir()
    unfinished.config_file.write_bytes(folder.run(1).config_file.read_bytes())
    append_line(unfinished.evaluations_file, {"env_steps": 5, "mean_return": 1e6})
    found = summarize(folder)
    assert found.final is not None and found.best is not None
    assert found.final.seeds == 5
    assert found.final.mean == pytest.approx(218.0)  # (10 + 20 + 60 + 100 + 900) / 5
    assert found.final.interquartile_mean == pytest.approx(60.0)  # of the middle three: 20, 60, 100
    assert found.best.mean == pytest.approx(219.0)
    assert found.final.mean_interval is not None and found.final.interquartile_mean_interval is not None
    low, high = found.final.mean_interval
    # The mean of five draws is 10 at least and 900 at most; that of 2.5 % of them is below 26, or above 564.
    assert 10.0 <= low < 40.0 and 500.0 < high <= 900.0
    low, high = found.final.interquartile_mean_interval
    assert 10.0 <= low < 60.0 < high <= 900.0


def test_seeds_of_own_kinds_need_no_module_of_them(folder: SeedsFolder) -> None:
    before = summarize(folder)
    for seed in FINAL:
        name_own_kinds(folder.run(seed).path)
    assert summarize(folder) == before


def test_each_seed_says_what_it_has_come_to(folder: SeedsFolder) -> None:
    first, *_, last = summarize(folder).seeds
    assert (first.seed, first.run, first.status, first.final_return, first.best_return) == (
        1,
        "seed-1",
        "finished",
        10.0,
        11.0,
    )
    assert (first.env_steps, first.train_steps, first.seconds) == (1_200, 270, 3.0)
    assert first.reason == "the budget of 1,200 environment steps was reached"
    assert last.seed == 12  # by number, not by letters


def test_what_has_not_finished_is_told_apart_and_counts_for_nothing(tmp_path: Path) -> None:
    folder = SeedsFolder(tmp_path / "seeds")
    for seed in (1, 2, 3):
        finished_run(folder.path / f"seed-{seed}", tiny(f"seed={seed}"), [float(seed)], 5.0)
        if seed > 1:
            folder.run(seed).summary_file.unlink()
    with locked(folder.run(2).lock_file, folder.path):
        found = summarize(folder, {3: "the pole is broken"})
    assert [each.status for each in found.seeds] == ["finished", "in training", "failed"]
    assert [each.best_return for each in found.seeds] == [1.0, 2.0, 3.0]
    assert [each.final_return for each in found.seeds] == [5.0, None, None]
    assert found.seeds[2].reason == "the pole is broken"
    assert found.final is not None and (found.final.seeds, found.final.mean_interval) == (1, None)
    assert [each.status for each in summarize(folder).seeds] == ["finished", "not finished", "not finished"]
    *_, last = summarize(folder, wanted=[3, 4]).seeds
    assert (last.seed, last.status, last.env_steps, last.final_return) == (4, "not begun", 0, None)


def test_the_file_says_the_same(folder: SeedsFolder) -> None:
    write_summary(folder, summarize(folder))
    written = json.loads(folder.summary_file.read_text())
    assert [each["final_return"] for each in written["seeds"]] == list(FINAL.values())
    assert written["final"]["interquartile_mean"] == pytest.approx(60.0)
    assert len(written["final"]["mean_interval"]) == 2
