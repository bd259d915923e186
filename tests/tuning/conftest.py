"""Runs are looked at often, find this project wherever they are started, and signals are answered however slowly."""

import pytest

from tests.support.commands import PROJECT
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def runs_are_looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setattr("tfdqn.tuning.child_runs._LOOK_SECONDS", 0.02)
    monkeypatch.setattr("tfdqn.tuning.thread_runs._LOOK_SECONDS", 0.02)
    monkeypatch.setattr("tfdqn.system.signals._ANSWER_SECONDS", PATIENCE_SECONDS)
