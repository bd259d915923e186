"""A run's summary is of the run where it lies now."""

from pathlib import Path

from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_summary, write_summary


def test_a_run_that_was_moved_says_where_its_files_are_now(tmp_path: Path) -> None:
    run, moved = RunDir(tmp_path / "run"), RunDir(tmp_path / "moved")
    run.path.mkdir()
    paths = {"exported policy": str(run.exports / "1"), "learning curve": str(run.learning_curve)}
    figures = {"env_steps": 1, "train_steps": 1, "episodes": 1, "seconds": 1.0, "best_return": 1.0}
    summary = Summary(status="finished", reason="", paths=paths, **figures)
    write_summary(run.summary_file, summary)
    assert read_summary(run.summary_file) == summary
    run.path.rename(moved.path)
    found = read_summary(moved.summary_file)
    assert found is not None
    assert found.paths == {
        "exported policy": str(moved.exports / "1"),
        "learning curve": str(moved.learning_curve),
    }
