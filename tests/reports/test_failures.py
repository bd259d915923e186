"""What fails to be drawn is one warning that says why."""

import pytest

from tfdqn.errors import RunDirError
from tfdqn.reports.failures import failures_are_warnings


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RunDirError("run has nothing\nto draw yet"), "run has nothing to draw yet"),
        (ValueError("\n'$a_{b$'\nExpected end_group"), "ValueError: '$a_{b$' Expected end_group"),
        (ImportError(), "ImportError"),
    ],
)
def test_a_failure_is_one_warning(error, why):
    said = []
    with failures_are_warnings("the page is not written", said.append):
        raise error
    assert said == [f"warning: the page is not written: {why}"]


def test_what_does_not_fail_says_nothing_and_what_ends_the_process_ends_it():
    said = []
    with failures_are_warnings("the page is not written", said.append):
        pass
    with pytest.raises(KeyboardInterrupt), failures_are_warnings("the page is not written", said.append):
        raise KeyboardInterrupt
    assert not said
