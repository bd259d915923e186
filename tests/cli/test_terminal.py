"""What a person sees: every figure is there, on a terminal and in a log file."""

import errno
import io
import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tfdqn.cli import terminal
from tfdqn.records import Progress, Summary
from tfdqn.system import interval


def a_progress(**changes: Any) -> Progress:
    values: dict[str, Any] = {
        "env_steps": 125_000,
        "total_env_steps": 500_000,
        "train_steps": 12_500,
        "seconds": 10.0,
        "env_steps_per_second": 12_500.0,
        "updates_per_second": 1_250.0,
        "episode_return": 123.45,
        "loss": 0.01234,
        "best_return": 475.25,
        "phase": "learning",
    }
    return Progress(**values | changes)


def a_summary(**changes: Any) -> Summary:
    values: dict[str, Any] = {
        "status": "finished",
        "reason": "converged",
        "env_steps": 200_000,
        "train_steps": 20_000,
        "episodes": 1_234,
        "seconds": 80.0,
        "best_return": 500.0,
        "final": SimpleNamespace(mean_return=498.5, std_return=3.25, episodes=100),
        "paths": {"learning curve": "runs/cartpole-seed1/learning_curve.png"},
    }
    return Summary(**values | changes)


# A stand-in for TaskEntry, which comes with gymnasium.
def a_task(id: str, reason: str = "", own_vector_version: bool = False, **keys: Any) -> Any:
    kept = {"suite": "auto", "needs": "", "is_tried": True, **keys}
    return SimpleNamespace(id=id, reason=reason, own_vector_version=own_vector_version, **kept)


def a_console(*, is_terminal: bool = False, width: int = 200) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=is_terminal, width=width, highlight=False), written


def test_the_figures_say_all_that_is_known() -> None:
    figures = "125,000/500,000 steps, {} steps/s, 1,250 updates/s, return 123.5, loss 0.0123, best 475.2, 0:30 left"
    assert terminal.progress_figures(a_progress()) == figures.format("12,500")


@pytest.mark.parametrize(("present", "is_near"), [(12_500.0, True), (10_001.0, True), (9_999.0, False), (430.0, False)])
def test_the_time_left_fits_the_rate_that_is_shown_or_names_its_own(present: float, is_near: bool) -> None:
    figures = terminal.progress_figures(a_progress(env_steps_per_second=present))
    assert figures.endswith(", 0:30 left" if is_near else ", 0:30 left at the mean rate of 12,500 steps/s")


def test_the_figures_leave_out_what_is_not_known_yet() -> None:
    start = a_progress(env_steps_per_second=0.0, episode_return=None, loss=None, best_return=None)
    assert terminal.progress_figures(start) == "125,000/500,000 steps, 1,250 updates/s"


def test_no_time_is_left_once_training_has_ended() -> None:
    assert "left" not in terminal.progress_figures(a_progress(phase="final evaluation"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (7, "0:07"), (59.7, "1:00"), (754, "12:34"), (3723, "1:02:03")]
)
def test_a_duration_reads_like_a_clock(seconds: float, text: str) -> None:
    assert terminal.duration(seconds) == text


@pytest.mark.parametrize(
    ("columns", "term", "is_plain"), [("80", "xterm", False), ("80", "dumb", True), ("1", "xterm", True)]
)
def test_a_dumb_or_narrow_terminal_gets_whole_lines(
    monkeypatch: pytest.MonkeyPatch, columns: str, term: str, is_plain: bool
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(shown, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", term)
    console = terminal.make_console()
    assert console.is_terminal is not is_plain
    terminal.print_tasks([a_task("Cart" * 10 + "-v1", "its package is not installed")], console)
    if is_plain:
        assert "Cart" * 10 + "-v1" in shown.getvalue() and "no: its package is not installed" in shown.getvalue()


def test_what_is_dated_in_the_future_is_not_called_new() -> None:
    assert [terminal.ago(each) for each in (0.0, 754, -61)] == ["0:00 ago", "12:34 ago", "dated 1:01 in the future"]


def test_a_log_gets_a_line_every_ten_seconds_and_at_a_new_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [
        (100.0, "filling replay"),
        (103.0, "filling replay"),
        (109.9, "filling replay"),
        (109.95, "learning"),
        (115.0, "learning"),
        (121.0, "learning"),
    ]
    now = [told[0][0]]
    monkeypatch.setattr(interval, "time", SimpleNamespace(monotonic=lambda: now[0]))
    console, written = a_console()
    with terminal.TrainingProgress(console) as progress:
        for now[0], phase in told:
            progress.show(a_progress(phase=phase))
    lines = written.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["filling replay", "learning", "learning"]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_terminal_that_is_closed_ends_no_training(is_terminal: bool) -> None:
    class Closable(io.StringIO):
        is_closed_by_user = False

        def write(self, text: str) -> int:
            if self.is_closed_by_user:
                raise OSError(errno.EIO, "Input/output error")
            return super().write(text)

    shown = Closable()
    console = Console(file=shown, force_terminal=is_terminal)
    with terminal.TrainingProgress(console) as progress:
        progress.say("before")
        shown.is_closed_by_user = True
        progress.say("after")
        progress.show(a_progress(phase="saving"))
    assert "before" in shown.getvalue()
    assert "after" not in shown.getvalue()


def test_how_long_the_first_updates_are_under_way_is_the_first_figure() -> None:
    figures = terminal.progress_figures(a_progress(phase="compiling the first updates", first_call_seconds=41.6))
    assert figures.startswith("42 s, 125,000/500,000 steps, ")
    for seconds in (None, 0.0, 0.4):
        assert terminal.progress_figures(a_progress(first_call_seconds=seconds)).startswith("125,000/500,000 steps, ")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_of_any_width_shows_the_bar_and_every_figure(width: int) -> None:
    console, written = a_console(is_terminal=True, width=width)
    with terminal.TrainingProgress(console) as progress:
        progress.say("resumed at 120,000 steps")
        progress.show(a_progress())
    text = " ".join(written.getvalue().split())
    for figure in ("resumed at 120,000 steps", "learning", "25%", "1,250 updates/s", "loss 0.0123", "0:30 left"):
        assert figure in text


def test_the_end_says_what_happened_and_where_everything_is() -> None:
    console, written = a_console()
    terminal.print_summary(a_summary(), console)
    rows = [" ".join(line.split()) for line in written.getvalue().splitlines()]
    assert rows == [
        "finished converged",
        "environment steps 200,000",
        "updates 20,000",
        "episodes 1,234",
        "training time 1:20",
        "environment steps/s 2,500",
        "best evaluation 500.00",
        "final evaluation 498.50 (std 3.25) over 100 fresh greedy episodes",
        "learning curve runs/cartpole-seed1/learning_curve.png",
    ]


def test_the_end_of_a_run_that_never_began_to_learn_is_no_error() -> None:
    console, written = a_console()
    nothing = a_summary(env_steps=0, train_steps=0, seconds=0.0, best_return=None, final=None, paths={})
    terminal.print_summary(nothing, console)
    assert "best" not in written.getvalue()


def test_square_brackets_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich would take [box2d] for a style."""
    reason = "needs its package: pip install 'gymnasium[box2d]'"
    terminal.print_tasks([a_task("LunarLander-v3", reason), a_task("CartPole-v1", own_vector_version=True)])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "task task.suite own vector version usable",
        f"LunarLander-v3 auto no no: {reason}",
        "CartPole-v1 auto yes yes",
    ]


def test_a_long_line_is_not_broken_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_tasks([a_task("Long-v0", "because " * 60)])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_list_says_how_a_task_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_tasks(
        [
            a_task("Some-v0"),
            a_task("Grid-v0", needs="task.action_bins"),
            a_task("Cpp-v0", suite="envpool", is_tried=False),
            a_task("Broken-v0", "it does not start", is_tried=False),
        ]
    )
    usable = [line.partition("  no ")[2].strip() for line in capsys.readouterr().out.splitlines()[1:]]
    assert usable == ["yes", "with task.action_bins", "not tried: --check ID tries one", "no: it does not start"]


def test_a_closed_pipe_is_noticed_before_anything_is_written_to_it() -> None:
    mine, theirs = os.pipe()
    with os.fdopen(theirs, "w") as file:
        console = Console(file=file)
        assert not terminal.is_hung_up(console)
        os.close(mine)
        assert terminal.is_hung_up(console)
    assert not terminal.is_hung_up(Console(file=io.StringIO()))
