"""A report's groups: by configuration, the best first, each beside every other."""

from pathlib import Path

import numpy as np

from tests.support.reported_runs import reported_run, seeds, tuned
from tfdqn.reports.groups import improvements, read_report


def test_groups_are_named_by_what_differs_and_the_best_comes_first(tmp_path: Path) -> None:
    one = seeds(tmp_path / "a", [1, 2, 3])
    other = seeds(tmp_path / "b", [4, 5], ["agent.n_step=3"])
    report = read_report([one, other])
    assert [group.name for group in report.groups] == ["1. dqn, agent.n_step=3", "2. dqn, agent.n_step=1"]
    np.testing.assert_array_equal(report.groups[1].scores, [1, 2, 3])
    assert (report.task, report.differing_keys) == ("CartPole-v1", ["agent.n_step"])


def test_the_threshold_is_the_configurations_own_where_they_agree_and_none_is_given(tmp_path: Path) -> None:
    runs = [reported_run(tmp_path / str(at), overrides=[f"stop.return_at_least={at}"]) for at in (90.0, 91.0)]
    assert read_report(runs[:1]).threshold == 90.0
    assert read_report(runs).threshold is None
    assert read_report(runs, 7.0).threshold == 7.0


def test_each_two_groups_are_beside_one_another(tmp_path: Path) -> None:
    paths = [seeds(tmp_path / str(n), [n, n + 1], [f"agent.n_step={n}"]) for n in (1, 2, 3)]
    found = improvements(read_report(paths))
    # Scores 3, 4 beside 2, 3: better in three of four pairs, one of which is a draw: 3.5 of 4.
    assert [(each.better.number, each.other.number) for each in found] == [(1, 2), (1, 3), (2, 3)]
    assert [each.probability for each in found] == [0.875, 1.0, 0.875]
    assert [each.probability for each in improvements(read_report(paths), most=2)] == [0.875, 1.0]
    assert found[0].interval is not None and found[0].interval.low <= 0.875 <= found[0].interval.high


def test_one_run_has_no_interval(tmp_path: Path) -> None:
    paths = [seeds(tmp_path / "a", [1, 2]), reported_run(tmp_path / "b", overrides=["agent.n_step=2"])]
    (found,) = improvements(read_report(paths))
    assert found.interval is None


def test_a_trial_that_was_chosen_for_its_score_is_left_out_of_the_group_of_its_fresh_seeds(tmp_path: Path) -> None:
    study, said = tuned(tmp_path / "study"), list[str]()
    report = read_report([study], say=said.append)
    assert [(group.label, list(group.scores)) for group in report.groups] == [
        ("dqn, agent.n_step=3", [20.0, 30.0]),
        ("dqn, agent.n_step=2", [10.0]),
    ]
    (line,) = said
    assert line.startswith(f"left out: {study / 'trials' / '001'} is a trial of a search, which chose it for its score")
    assert [list(group.scores) for group in read_report([study / "trials"]).groups] == [[90.0], [10.0]]  # alone
    (study / "study.json").unlink()  # then it is any folder
    assert [len(group.runs) for group in read_report([study]).groups] == [3, 1]
