"""What a run keeps of itself is read as it was written, wherever the run lies now and whatever a kill tore."""

from pathlib import Path

import pytest

from tfdqn.records import EpisodeScores, Evaluation, Standing, Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import (
    EvaluationLine,
    Outcome,
    ProgressLine,
    RunEnd,
    append_evaluation,
    read_end,
    read_evaluations,
    read_progress,
    read_reports,
    read_standing,
    read_summary,
    trouble_with_summary,
    why_failed,
    why_stopped,
    write_end,
    write_summary,
)


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
    assert found.paths == {"exported policy": str(moved.exports / "1"), "learning curve": str(moved.learning_curve)}


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ('{"seconds": 1.0, "final": {"mean_return": NaN}}', "has a number that is not finite: final.mean_return"),
        ('{"seconds": -Infinity}', "has a number that is not finite: seconds"),
        ('{"seconds": 1e999}', "has a number that is not finite: seconds"),
        ('{"seconds": 1.0}', "is damaged, or another version of tfdqn has written it"),
        ('{"seconds": ', "is damaged, or another version of tfdqn has written it"),
        ('{"reason": "\xff"}', "is damaged, or another version of tfdqn has written it"),
        ("", "is damaged, or another version of tfdqn has written it"),
    ],
)
def test_what_is_wrong_with_a_summary_that_can_t_be_read(tmp_path: Path, text: str, trouble: str) -> None:
    file = tmp_path / "summary.json"
    file.write_text(text, encoding="latin-1")
    assert read_summary(file) is None
    assert trouble_with_summary(file) == trouble


def evaluation(env_steps: int, mean_return: float, is_best: bool) -> Evaluation:
    scores = EpisodeScores(
        episodes=4, mean_return=mean_return, std_return=0.5, median_return=1.0, ci_low=0.0, ci_high=2.0, mean_length=7.0
    )
    return Evaluation(env_steps=env_steps, train_steps=env_steps // 4, scores=scores, is_best=is_best)


@pytest.mark.parametrize(
    "text", ['{"outcome": "lost", "is_saved": true, "why": ""}', '{"outcome": "fini', '{"why": "\xff"}', "7"]
)
def test_an_end_that_no_run_has_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "end.json"
    file.write_text(text, encoding="latin-1")
    assert read_end(file) is None and why_failed(file) == why_stopped(file) == ""
    write_end(file, end := RunEnd(Outcome.STOPPED, True, "interrupted by Ctrl-C"))
    assert read_end(file) == end and (why_failed(file), why_stopped(file)) == ("", "interrupted by Ctrl-C")


def test_evaluations_are_read_as_they_were_written_but_for_what_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "evaluations.jsonl"
    assert (read_evaluations(file), read_standing(file)) == ([], Standing(0, None, 0))
    append_evaluation(file, evaluation(100, 2.0, True), 1.23456)
    assert file.read_text() == (
        '{"env_steps": 100, "train_steps": 25, "seconds": 1.235, "mean_return": 2.0, "std_return": 0.5, '
        '"mean_length": 7.0, "episodes": 4, "is_best": true}\n'
    )
    with file.open("a") as lines:
        lines.write('{"env_steps": "200"}\n{"env_steps": 250, "is_be')
    append_evaluation(file, evaluation(300, float("nan"), False), 2.0)
    append_evaluation(file, evaluation(400, 1.0, False), 3.0)
    assert read_evaluations(file) == [
        EvaluationLine(100, 25, 1.235, 2.0, 0.5, 7.0, 4, True),
        EvaluationLine(300, 75, 2.0, None, 0.5, 7.0, 4, False),
        EvaluationLine(400, 100, 3.0, 1.0, 0.5, 7.0, 4, False),
    ]
    assert read_standing(file) == Standing(env_steps=400, train_steps=100, without_best=2)


@pytest.mark.parametrize("damaged", ['{"env_steps": "7"}', '{"env_steps": 7, "seconds": [1.0]}', '{"seconds": 7.0}'])
def test_reports_are_read_but_for_what_is_damaged(tmp_path: Path, damaged: str) -> None:
    file = tmp_path / "metrics.jsonl"
    assert (read_progress(file), list(read_reports(file))) == (None, [])
    first = '{"env_steps": 3, "train_steps": 1, "seconds": 2, "episode_return": null, "loss": "small"}'
    file.write_text(f"{first}\n{damaged}\n")
    assert read_progress(file) is None
    assert list(read_reports(file)) == [ProgressLine(3, 1, 2.0)]
    with file.open("a") as lines:
        lines.write('{"env_steps": 8, "episode_return": 1.5}\n{"env_st')
    last = ProgressLine(8, episode_return=1.5)
    assert (read_progress(file), list(read_reports(file))[1:]) == (last, [last])
