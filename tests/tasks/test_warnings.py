"""A warning is given once for what it is about."""

import pytest

from tfdqn.tasks.warnings import warn_once


def test_a_line_is_logged_once_as_is_one_of_several_about_the_same(caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    for line, *about in (["a"], ["a"], ["b"], ["c", "task", "x"], ["d", "task", "x"], ["e", "task", "y"]):
        warn_once(line, *about)
    assert [record.getMessage() for record in caplog.records] == ["a", "b", "c", "e"]
