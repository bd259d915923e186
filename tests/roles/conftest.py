"""What tests of the roles share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.actor_jobs import FREE, HELD, Job, job_of
from tests.support.evaluator_jobs import CONFIG
from tests.support.threaded_jobs import Learner, learner
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.coordination.heartbeat_files import VARIABLE
from tfdqn.storage.run_directory import RunDir


@pytest.fixture(autouse=True)
def beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "beats"))


@pytest.fixture(autouse=True)
def ends_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process says and writes last arrives, however slow the machine is."""
    for name in ("membership._REPLY_SECONDS", "membership._LAST_REPLY_SECONDS"):
        monkeypatch.setattr(f"tfdqn.coordination.{name}", PATIENCE_SECONDS)


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """A job whose actors nothing holds back, so that all they have written arrives."""
    monkeypatch.setattr("tfdqn.roles.actor._FLUSH_SECONDS", PATIENCE_SECONDS)
    with job_of(FREE, tmp_path) as job:
        yield job


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Job]:
    with job_of(HELD, tmp_path) as job:
        yield job


@pytest.fixture
def there() -> Iterator[Learner]:
    with learner(CONFIG) as made:
        yield made


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    path = tmp_path / "run"
    path.mkdir()
    return RunDir(path)
