"""A learner's service in this process, for those that call it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.threaded_jobs import FAST, Learner, learner
from tests.support.tiny_runs import tiny
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.config import Config
from tfdqn.coordination.heartbeat_files import VARIABLE


@pytest.fixture
def beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where heartbeats of this host's processes are."""
    folder = tmp_path / "beats"
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.fixture(autouse=True)
def first_answers_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has joined has an answer, however slow the machine is."""
    monkeypatch.setattr("tfdqn.coordination.membership._FIRST_ANSWER_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def config() -> Config:
    return tiny(*FAST)


@pytest.fixture
def there(config: Config) -> Iterator[Learner]:
    with learner(config, {}) as made:
        yield made
