"""Finished runs: where they are found, what is read of them, and one line for each that can't be taken."""

import errno
import json
import math
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.reported_runs import reported_run, seeds
from tests.support.run_files import finish
from tfdqn.config.toml import dump, from_mapping
from tfdqn.errors import RunDirError, UserError
from tfdqn.records import Counters
from tfdqn.reports.comparison import compare_runs
from tfdqn.reports.finished_runs import read_runs
from tfdqn.reports.groups import read_report
from tfdqn.reports.learning_curves import plot
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.run_directory import RunDir


def test_folders_are_searched_seeds_come_in_order_and_a_run_counts_once(tmp_path: Path) -> None:
    folder = seeds(tmp_path / "study" / "a", range(1, 12))
    (folder / "notes").mkdir()
    (folder / "notes" / "config.txt").write_text("no run")
    found = read_runs([tmp_path, folder / "seed-2", str(folder) + "/../a/seed-2"])
    assert [run.seed for run in found] == list(range(1, 12))


@pytest.mark.parametrize("take", [read_runs, plot])
def test_a_path_alone_is_no_list_of_paths(take: Callable[..., object]) -> None:
    """Of "runs/a", each character would be a path, and / the whole disk."""
    with pytest.raises(UserError, match=r"^runs: a list of paths is needed, such as \['runs/a'\], not 'runs/a' alone$"):
        take("runs/a")


@pytest.mark.parametrize("take", [read_runs, plot, read_report, lambda paths: compare_runs(paths, paths)])
def test_an_empty_list_of_paths_is_refused(take: Callable[..., object]) -> None:
    with pytest.raises(UserError, match=r"^runs: the list of paths is empty$"):
        take([])


def test_what_is_read_of_a_run(tmp_path: Path) -> None:
    path = reported_run(tmp_path / "run", score=42.0, returns=(5.0, 30.0, 20.0), seconds=6.0)
    for name in ("2.gif", "10.mp4", "1.mp4", ".1-2-3-4-5.part.mp4", "readme.txt"):
        (path / "videos").mkdir(exist_ok=True)
        (path / "videos" / name).write_bytes(b"video")
    (run,) = read_runs([path])
    assert (run.score, run.env_steps_per_second) == (42.0, 50.0)
    np.testing.assert_array_equal(run.evaluation.values, [5, 30, 20])
    assert (run.steps_to(5.0), run.steps_to(25.0), run.steps_to(30.1)) == (100, 200, math.inf)
    assert [video.name for video in run.videos] == ["10.mp4", "2.gif", "1.mp4"]  # the newest first


def test_a_run_that_stands_as_it_has_finished_is_taken_also_by_its_checkpoint(tmp_path: Path) -> None:
    finish(reported_run(tmp_path / "run", overrides=["stop.env_steps=20_000"]), 20.0, env_steps=20_000)
    (run,) = read_runs([tmp_path / "run"])
    assert run.score == 20.0
    older = Counters(env_steps=9_000, train_steps=30)  # what is left if the newest checkpoint is damaged
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    CheckpointManager(tmp_path / "run" / "checkpoints").save(older, {}, lambda folder: None)
    assert read_runs([tmp_path / "run"])[0].score == 20.0


def unfinished(run: Path) -> None:
    (run / "summary.json").unlink()


def trained_further(run: Path) -> None:
    """It had finished, was started again with more steps, and was stopped before they were taken."""
    finish(run, 20.0, env_steps=20_000)
    config = tomllib.loads((run / "config.toml").read_text())
    (run / "config.toml").write_text(dump(from_mapping(config, ["stop.env_steps=40_000"])))


def another_version(run: Path) -> None:
    (run / "summary.json").write_text('{"status": "finished", "steps": 3}')


def unknown_key(run: Path) -> None:
    (run / "config.toml").write_text('[task]\nid = "CartPole-v1"\n[agent]\nmood = "good"\n')


def empty(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def never_begun(run: Path) -> None:
    """Its process was killed before it had begun, as one of several seeds."""
    empty(run)
    told = RunDir(run).child_config_file
    told.parent.mkdir()
    told.touch()


def gone(run: Path) -> None:
    shutil.rmtree(run)


def no_evaluation(run: Path) -> None:
    (run / "evaluations.jsonl").write_text("")


def nan(run: Path) -> None:
    with (run / "evaluations.jsonl").open("a") as lines:
        lines.write('{"env_steps": 12300, "mean_return": NaN}\n')


def null(run: Path) -> None:
    with (run / "evaluations.jsonl").open("a") as lines:
        lines.write('{"env_steps": 12300, "mean_return": null}\n')


def final_nan(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    summary["final"]["mean_return"] = math.nan
    (run / "summary.json").write_text(json.dumps(summary))


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (unfinished, "run has not finished: a report needs finished runs"),
        (trained_further, "run was started again after it had finished, and has not finished since"),
        (another_version, "summary.json is damaged, or another version of tfdqn has written it"),
        (final_nan, "summary.json has a number that is not finite: final.mean_return$"),
        (unknown_key, "config.toml: .*mood"),
        (empty, "run is not a run directory, and has none in it"),
        (never_begun, "run is not a run directory, and has none in it"),
        (gone, "run doesn't exist"),
        (no_evaluation, "run has no evaluation in evaluations.jsonl"),
        (nan, "evaluations.jsonl, at 12,300 environment steps: the return is not finite"),
        (null, "evaluations.jsonl, at 12,300 environment steps: the return is not finite"),
    ],
)
def test_what_can_t_be_taken_is_one_line(tmp_path: Path, break_it: Callable[[Path], None], said: str) -> None:
    break_it(reported_run(tmp_path / "run"))
    with pytest.raises(RunDirError, match=said) as raised:
        read_runs([reported_run(tmp_path / "good"), tmp_path / "run"])
    assert "\n" not in str(raised.value) and "good" not in str(raised.value)


def test_every_run_that_can_t_be_taken_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        unfinished(reported_run(tmp_path / name))
    no_evaluation(reported_run(tmp_path / "c"))
    with pytest.raises(RunDirError, match=r"/a has not finished.*; likewise .*/b; .*/c has no evaluation"):
        read_runs([tmp_path / "a", tmp_path / "b", tmp_path / "c"])


def test_of_many_with_the_same_trouble_some_are_named_and_the_reason_once(tmp_path: Path) -> None:
    for path in seeds(tmp_path / "a", range(1, 31)).iterdir():
        unfinished(path)
    with pytest.raises(RunDirError) as raised:
        read_runs([tmp_path / "a", tmp_path / "a" / "seed-1"])
    a = tmp_path / "a"
    assert str(raised.value) == (
        f"{a}/seed-1 has not finished: a report needs finished runs; likewise {a}/seed-2, {a}/seed-3 and 27 more"
    )


@pytest.mark.parametrize("break_it", [unfinished, another_version, unknown_key, no_evaluation, nan])
def test_below_a_folder_what_can_t_be_taken_is_left_out_and_named_once(
    tmp_path: Path, break_it: Callable[[Path], None]
) -> None:
    folder, said = seeds(tmp_path / "a", [1, 2, 3]), list[str]()
    break_it(folder / "seed-2")
    found = read_runs([tmp_path, folder], said.append)
    assert [run.seed for run in found] == [1, 3]
    (line,) = said
    assert line.startswith("left out: ") and line.count(f"{folder}/seed-2") == 1 and "seed-1" not in line
    with pytest.raises(RunDirError, match="/seed-2"):
        read_runs([folder])


def test_a_run_whose_path_is_not_utf_8_is_left_out_and_named(tmp_path: Path) -> None:
    reported_run(seeds(tmp_path / "a", [1, 2]) / "run").rename(tmp_path / "a" / os.fsdecode(b"caf\xe9"))
    said: list[str] = []
    assert [run.seed for run in read_runs([tmp_path], said.append)] == [1, 2]
    (line,) = said
    assert line.startswith(f"left out: {tmp_path}/a/caf\\xe9 is not UTF-8")


def test_a_folder_that_can_t_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds(tmp_path / "a", [1])
    (tmp_path / "closed").mkdir()
    whole = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    said: list[str] = []
    assert len(read_runs([tmp_path], said.append)) == 1
    assert said == [f"left out: {tmp_path}/closed can't be read: Permission denied"]
    with pytest.raises(RunDirError, match=r"closed can't be read: Permission denied$"):
        read_runs([tmp_path / "closed"], said.append)


def test_a_folder_without_any_finished_run_is_refused_beside_others(tmp_path: Path) -> None:
    said: list[str] = []
    unfinished(reported_run(tmp_path / "b" / "seed-1"))
    with pytest.raises(RunDirError, match=r"^[^;]*/b/seed-1 has not finished: [^;]*$"):
        read_runs([seeds(tmp_path / "a", [1, 2]), tmp_path / "b"], said.append)
    assert said == []


def test_a_run_that_repeats_another_is_refused_as_it_would_count_twice(tmp_path: Path) -> None:
    one = reported_run(tmp_path / "one", seconds=10.0)
    again = reported_run(tmp_path / "one-again", seconds=11.0)
    others = [reported_run(tmp_path / "other", seed=2), reported_run(tmp_path / "better", score=21.0)]
    assert len(read_runs([one, *others])) == 3
    with pytest.raises(RunDirError, match=r"/one-again has repeated .*/one with the same seed: leave one of them out$"):
        read_runs([one, again, *others])


def test_trials_with_the_same_values_are_both_read(tmp_path: Path) -> None:
    for number in range(2):
        reported_run(tmp_path / "trials" / f"00{number}", seconds=10.0 + number)
    (tmp_path / "study.json").write_text("{}")
    assert len(read_runs([tmp_path])) == 2


def test_a_copy_of_a_run_is_refused_as_it_would_count_twice(tmp_path: Path) -> None:
    folder = seeds(tmp_path / "a", [1, 2])
    shutil.copytree(folder, tmp_path / "backup")
    (tmp_path / "link").symlink_to(folder)
    assert len(read_runs([folder, tmp_path / "link"])) == 2
    with pytest.raises(RunDirError, match=r"/backup/seed-1 is a copy of .*/a/seed-1: leave one of them out; .*seed-2"):
        read_runs([folder, tmp_path / "backup"])
