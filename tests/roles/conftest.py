"""What tests of the roles share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.actor_jobs import FREE, HELD, Job, job_of
from tfdqn.coordination.heartbeat_files import VARIABLE


@pytest.fixture(autouse=True)
def beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "beats"))


@pytest.fixture
def free(tmp_path: Path) -> Iterator[Job]:
    with job_of(FREE, tmp_path) as job:
        yield job


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Job]:
    with job_of(HELD, tmp_path) as job:
        yield job
