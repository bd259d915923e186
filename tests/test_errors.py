"""What is said of an error in one line."""

import pytest

from tfdqn.errors import first_line, one_line


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
