"""Where studies are kept: what is wrong with a storage, in one line, and no password in it."""

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from tests.support.studies import study_in
from tests.support.waiting import until
from tfdqn.tuning.study_folder import StudyError
from tfdqn.tuning.study_storage import JournalLock, open_database, open_journal, shown_url


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "mysql://me:secret@host/db",
            r"^--storage mysql://me:\*\*\*@host/db needs a driver that isn't installed: .*mysqlclient",
        ),
        (
            "postgresql://me:secret@host/db",
            r"^--storage postgresql://me:\*\*\*@host/db needs a driver .* install .*psycopg2",
        ),
        ("tea://pot", r"^--storage tea://pot can't be opened: Can't load plugin"),
        ("study.db", r"^--storage: must be a database's URL, such as postgresql\+psycopg2://user@host/database$"),
        ("sqlite:////nowhere/at/all.db", r"^--storage sqlite:////nowhere/at/all\.db can't be opened: unable to open"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line(url: str, line: str) -> None:
    with pytest.raises(StudyError, match=line) as caught:
        open_database(url)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_password_is_not_shown() -> None:
    assert shown_url("postgresql+psycopg2://me:secret@host:5432/db") == "postgresql+psycopg2://me:***@host:5432/db"


@pytest.mark.parametrize("content", [b"no json\n", b'{"op_code": 99, "worker_id": "a"}\n', b"{}\n"])
def test_a_damaged_journal_is_one_line(tmp_path: Path, content: bytes) -> None:
    journal = tmp_path / "study.journal"
    journal.write_bytes(content * 2)
    with pytest.raises(StudyError, match=r"study\.journal is damaged"):
        open_journal(journal)


def hold(journal: Path, seconds: float) -> None:
    JournalLock(journal).acquire()
    journal.with_name("held").touch()
    time.sleep(seconds)


def test_a_killed_holder_of_the_lock_halts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna's own lock would let everyone sleep and ask again for half a minute."""
    study = study_in(tmp_path)
    holder = multiprocessing.get_context("spawn").Process(target=hold, args=(study.folder.journal, 600.0))
    holder.start()
    until((tmp_path / "held").exists)
    holder.kill()
    holder.join()
    sleep = time.sleep

    def sleep_elsewhere(seconds: float) -> None:
        assert threading.current_thread() is not threading.main_thread(), "it waits for the dead"
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", sleep_elsewhere)
    assert study.next_trial(1) is not None
