"""Cores: those that the process may run on, and no more than its container is granted."""

import os
from pathlib import Path

import pytest

from tfdqn.system.processors import available_cores


@pytest.mark.parametrize(
    ("granted", "cores"),
    [
        (None, 8),  # no control groups
        ("max 100000", 8),
        ("250000 100000", 3),  # two and a half
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("nonsense", 8),
    ],
)
def test_a_containers_share_of_the_time_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granted: str | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    if granted is not None:
        (tmp_path / "cpu.max").write_text(f"{granted}\n")
    assert available_cores(tmp_path) == cores
