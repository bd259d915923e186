"""An error of the caller's own function ends training, saved, in whatever thread it was raised; then it is raised."""

from collections.abc import Iterator
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import numpy as np
import pytest

from tests.support.tiny_runs import latest, tiny
from tfdqn import train
from tfdqn.coordination import watchdog
from tfdqn.errors import OwnCodeError, RunDirError, UserError
from tfdqn.launch.inspector import Inspector, Status
from tfdqn.records import Progress
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, read_end
from tfdqn.training.caller_errors import CallerErrors


@pytest.mark.parametrize("first", [StopIteration(), SystemExit(3)])
def test_the_first_error_is_taken_and_raised_after_the_block_and_no_function_is_called_again(
    first: Exception | SystemExit,
) -> None:
    calls = list[int]()

    def fails(error: BaseException) -> int:
        calls.append(1)
        raise error

    with pytest.raises(type(first)) as caught, CallerErrors() as errors:
        assert errors.taken_from(divmod, (0, 0))(7, 2) == (3, 1)
        assert errors.first is None
        assert errors.taken_from(fails, 5)(first) == errors.taken_from(fails, 6)(ValueError()) - 1 == 5
        assert errors.taken_from(divmod, (0, 0))(7, 2) == (0, 0)
    assert caught.value is first is errors.first and calls == [1]


def test_an_error_of_training_stays_and_a_keyboard_interrupt_is_raised_at_once() -> None:
    def fails(error: BaseException) -> None:
        raise error

    with pytest.raises(RunDirError) as caught, CallerErrors() as errors:
        errors.taken_from(fails, None)(LookupError("mine"))
        raise RunDirError("the disk is full")
    assert caught.value.__notes__ == ["Earlier, a function that was given to train raised LookupError: mine"]
    with pytest.raises(RunDirError) as caught, CallerErrors() as errors:
        errors.taken_from(fails, None)(UserError("the file a.toml is empty"))
        raise RunDirError("the disk is full")
    note = "Earlier, a function that was given to train raised UserError: the file a.toml is empty"
    assert caught.value.__notes__ == [note]
    with pytest.raises(KeyboardInterrupt), CallerErrors() as errors:
        errors.taken_from(fails, None)(KeyboardInterrupt())


@pytest.mark.parametrize("wrong", [True, 3, "print", lambda a, b: None])
@pytest.mark.parametrize("name", ["on_progress", "say", "interrupted"])
def test_what_is_no_such_function_is_refused_before_anything_begins(tmp_path: Path, name: str, wrong: Any) -> None:
    with pytest.raises(OwnCodeError, match=rf"^{name} = .*expected.* \((progress|line|)\)$"):
        train(tiny(), tmp_path / "run", **{name: wrong})
    assert not (tmp_path / "run").exists()


class Mine(Exception):
    """What the caller raises."""


@pytest.fixture
def never_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ends: list[object] = []
    monkeypatch.setattr(watchdog, "end_now", lambda *line: ends.append(line))
    monkeypatch.setattr(watchdog, "_END_SECONDS", 0.0)  # from when it is asked to stop, which an error does not
    monkeypatch.setattr(watchdog, "_CHECK_SECONDS", 0.01)
    yield
    assert ends == []


@pytest.mark.usefixtures("never_ends_the_process")
@pytest.mark.parametrize("schedule", ["overlap", "alternate"])
@pytest.mark.parametrize("name", ["on_progress", "interrupted in the watchdog's thread", "interrupted"])
def test_training_stops_is_saved_and_raises_that_very_exception(tmp_path: Path, name: str, schedule: str) -> None:
    run, error, reached = tmp_path / "run", Mine("at last"), list[Progress]()
    thread = "watchdog" if "watchdog" in name else main_thread().name

    def fails() -> bool:
        if reached[-1:] and reached[-1].train_steps > 0 and current_thread().name == thread:
            raise error
        return False

    def on_progress(progress: Progress) -> None:
        reached.append(progress)
        if name == "on_progress":
            fails()

    interrupted = None if name == "on_progress" else fails
    endless = tiny("replay.backend=in_graph", f"learner.schedule={schedule}", "stop.env_steps=200_000")
    with pytest.raises(Mine) as caught:
        train(endless, run, on_progress=on_progress, interrupted=interrupted)
    assert caught.value is error
    assert latest(run).counters.train_steps >= reached[-1].train_steps > 0
    end = read_end(RunDir(run).end_file)
    assert end is not None and (end.outcome, end.why) == (
        Outcome.STOPPED,
        "it was interrupted by the program that trained it",
    )
    assert Inspector(str(run)).report().status is Status.STOPPED
    said: list[str] = []
    assert train(tiny("replay.backend=in_graph", f"learner.schedule={schedule}"), run, say=said.append).env_steps > 0
    assert any(line.startswith("resumed at") for line in said)


@pytest.mark.usefixtures("never_ends_the_process")
def test_so_it_does_where_the_answer_has_no_truth_value(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="truth value"):
        train(tiny("replay.backend=in_graph"), tmp_path / "run", interrupted=lambda: np.zeros(2))  # type: ignore[arg-type, return-value]


@pytest.mark.usefixtures("never_ends_the_process")
def test_so_it_does_where_a_line_can_not_be_shown(tmp_path: Path) -> None:
    """A line of training, after that which every run begins with."""
    run, error = tmp_path / "run", Mine()
    config = tiny("replay.backend=in_graph", "stop.env_steps=600")
    train(config, run)
    before = latest(run).counters.env_steps

    def say(line: str) -> None:
        if line.startswith("resumed at"):
            raise error

    with pytest.raises(Mine) as caught:
        train(tiny("replay.backend=in_graph", "stop.env_steps=200_000"), run, say=say)
    assert caught.value is error and latest(run).counters.env_steps == before
