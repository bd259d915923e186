"""What a person sees of several runs: the table on a terminal, the lines elsewhere."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.run_files import finished_run
from tests.support.tiny_runs import tiny
from tfdqn.cli.runs_view import RunsView, runs_table, totals_of_runs, totals_of_trials
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome
from tfdqn.system.subprocesses import start_process
from tfdqn.tuning.child_runs import ChildRun
from tfdqn.tuning.trial_records import Trial, TrialState


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[list[ChildRun]]:
    """One that has finished, one under way, one that waits, one that has failed."""
    finished = ChildRun("seed 1", tiny(), finished_run(tmp_path / "1", tiny(), [5.0, 9.0], 8.5))
    assert finished.take_as_finished()
    learning, waiting, failed = (ChildRun(f"seed {i}", tiny(), RunDir(tmp_path / str(i))) for i in (2, 3, 4))
    learning.run.process_logs.mkdir(parents=True)
    learning.start(start_process, ("sh", "-c", "sleep 100"), {})
    figures_now = {"env_steps": 600, "seconds": 61.0, "env_steps_per_second": 400.0, "episode_return": 21.5}
    append_line(learning.run.metrics_file, figures_now)
    failed.outcome = Outcome.FAILED
    yield [finished, learning, waiting, failed]
    learning.kill()


def test_the_table_has_a_line_for_each_run(runs: list[ChildRun]) -> None:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as captured:
        console.print(runs_table(runs))
    head, *lines = [line.split() for line in captured.get().splitlines()]
    assert head == ["run", "state", "steps", "speed", "return", "best", "evaluation", "time"]
    assert lines == [
        ["seed", "1", "finished", "1,200", "4.5", "9.0", "0:03"],
        ["seed", "2", "learning", "600", "400", "steps/s", "21.5", "1:01"],
        ["seed", "3", "waiting"],
        ["seed", "4", "failed"],
    ]


def test_the_figures_are_of_all_together(runs: list[ChildRun]) -> None:
    # Two runs of 1,200 steps are to come, and half a one: 3,000 steps, at 600 in 61 seconds.
    left = "at most 5:05 left at the mean rate of 10 steps/s"
    assert totals_of_runs(runs) == f"1 of 4 finished, 1 failed, 1,800/4,800 steps, 400 steps/s, {left}"
    append_line(runs[1].run.metrics_file, {"env_steps": 600, "seconds": 61.0, "env_steps_per_second": 9.0})
    assert totals_of_runs(runs).endswith(", 9 steps/s, at most 5:05 left")


def test_no_time_is_left_to_tell_while_only_last_evaluations_run(runs: list[ChildRun]) -> None:
    finished, learning, *_ = runs
    append_line(learning.run.metrics_file, {"env_steps": 1_200, "seconds": 99.0, "env_steps_per_second": 400.0})
    assert totals_of_runs([finished, learning]) == "1 of 2 finished, 2,400/2,400 steps"
    trials = [Trial(0, TrialState.COMPLETE, {}, 5.0, {}), Trial(1, TrialState.RUNNING, {}, None, {})]
    assert totals_of_trials(trials, 2, [learning], 3) == "1 of 2 trials, 1 running, 1 complete, best 5.00 (trial 0)"
    assert "at most about" in totals_of_trials(trials, 3, [learning])


def test_the_time_left_of_a_search_counts_the_trials_that_are_to_come_and_names_the_fresh_seeds(
    runs: list[ChildRun],
) -> None:
    _, learning, *_ = runs
    states = (TrialState.COMPLETE, TrialState.FAILED, TrialState.LOST, TrialState.RUNNING)
    trials = [Trial(number, state, {}, 5.0 if not number else None, {}) for number, state in enumerate(states)]
    # Half of this trial and four more of 1,200 steps: 5,400 steps, at 600 in 61 seconds.
    head = "2 of 7 trials, 1 running, 1 complete, 1 failed, 1 lost, best 5.00 (trial 0), at most about "
    left = f"{head}9:09 left at the mean rate of 10 steps/s"
    assert totals_of_trials(trials, 7, [learning]) == left
    assert totals_of_trials(trials, 7, [learning], 3) == f"{left}, then 3 fresh seeds"
    assert totals_of_trials(trials, 7).endswith("best 5.00 (trial 0)")  # only other processes have trials


def test_on_a_terminal_the_table_stands_above_the_figures(runs: list[ChildRun]) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=30)
    with RunsView(console) as view:
        view.show(runs)
        shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.index("seed 4") < shown.index("1 of 4 finished")


def test_in_a_small_terminal_those_under_way_come_first(runs: list[ChildRun]) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=10)  # with room for two
    with RunsView(console) as view:
        view.show(runs)
        shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert [each.name for each in runs if each.name in shown] == ["seed 2", "seed 4"]


@pytest.mark.parametrize("width", [24, 40, 60])
def test_in_a_narrow_terminal_the_figures_below_the_table_stay_in_sight(runs: list[ChildRun], width: int) -> None:
    more = [ChildRun(f"seed {i}", tiny(), runs[2].run) for i in range(5, 17)]
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=24)
    with RunsView(console) as view:
        view.show([*runs, *more])
        shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.index("seed 2") < shown.index("1 of 16 finished")
    assert "left" in shown


def test_elsewhere_each_state_is_said_once_and_the_figures_now_and_then(
    runs: list[ChildRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.cli.live_view._REFRESH_SECONDS", 0.0)
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    with RunsView(console) as view:
        view.show(runs)
        view.show(runs)
    assert console.file.getvalue() == "seed 2: learning\n"  # type: ignore[attr-defined]
    monkeypatch.setattr("tfdqn.cli.live_view.PLAIN_LINE_INTERVAL_SECONDS", 0.0)
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    with RunsView(console) as view:
        view.show(runs)
    assert console.file.getvalue().splitlines()[-1].startswith("1 of 4 finished, ")  # type: ignore[attr-defined]
