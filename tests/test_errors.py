"""What is said of an error in one line, what of it other processes get, and what is said of what is no directory."""

import copy
import inspect
import pickle
from pathlib import Path

import pytest

from tfdqn import errors
from tfdqn.errors import (
    ConfigError,
    ConfigErrors,
    EnvironmentFailedError,
    UserError,
    VideoError,
    as_path,
    first_line,
    message_in_one_line,
    one_line,
    type_and_message,
    why_no_directory,
)

WITH_MORE_THAN_A_MESSAGE = (
    ConfigErrors([f"key {i}: unknown" for i in range(22)]),
    EnvironmentFailedError("the task raised", traceback="Traceback: line 7"),
    VideoError("no codec", report={"mean_return": 9.5}),
)
KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


@pytest.mark.parametrize(
    ("error", "first", "whole"),
    [
        (ValueError("bad"), "bad", "ValueError: bad"),
        (ValueError("bad\nworse"), "bad", "ValueError: bad worse"),
        (ValueError("\n  bad \n worse"), "bad", "ValueError: bad worse"),
        (ValueError(), "ValueError", "ValueError"),
        (ValueError(""), "ValueError", "ValueError"),
        (ValueError("\n \n"), "ValueError", "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_what_an_error_says_is_one_line_and_never_empty(error: BaseException, first: str, whole: str) -> None:
    assert first_line(error) == first
    assert one_line(error) == whole


def test_in_one_line_the_mistakes_of_a_configuration_are_told_apart() -> None:
    assert message_in_one_line(ValueError("bad\n worse ")) == "bad worse"
    mistakes = ConfigErrors(["seed = -1: too small", "gamma is\tnot a key"])
    assert message_in_one_line(mistakes) == "seed = -1: too small; gamma is not a key"
    assert one_line(mistakes) == "seed = -1: too small; gamma is not a key"


def test_a_line_is_cut_unless_it_says_what_the_user_has_to_correct() -> None:
    assert one_line(ValueError("9" * 400)) == f"ValueError: {'9' * 285}..."
    assert one_line(UserError("9" * 400)) == "9" * 400
    assert type_and_message(UserError("9" * 400)) == f"UserError: {'9' * 286}..."


def test_a_path_in_the_home_directory_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert as_path("~/runs/x", "a run directory") == as_path(Path("~/runs/x"), "it") == Path("/home/me/runs/x")
    assert as_path("runs/~x~", "a run directory") == Path("runs/~x~")
    with pytest.raises(UserError, match=r"^the path of a run directory is needed; the argument is empty$"):
        as_path("", "a run directory")


def test_a_directory_a_file_nothing_and_a_link_to_it_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "link").symlink_to("none")
    found = [why_no_directory(tmp_path / name) for name in ("", "file", "none", "link")]
    assert found == ["", "is a file, not a directory", "doesn't exist", "is a link to what doesn't exist"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_crosses_processes(kind: type[Exception]) -> None:
    error = next((each for each in WITH_MORE_THAN_A_MESSAGE if type(each) is kind), None) or kind("seed = -1")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind and str(again) == str(error) and vars(again) == vars(error)


def test_a_notebook_shows_one_line_of_a_mistake() -> None:
    assert ConfigError("seed = -1: at least 0")._render_traceback_() == ["ConfigError: seed = -1: at least 0"]
