"""What holds for every test, however and wherever the tests were started: signals do what they do in a terminal,
Hypothesis measures no time, temporary folders are in memory, and imports are as quick as those of a command."""

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tfdqn.system.quick_start import quicken_start

quicken_start()
_THRESHOLDS = gc.get_threshold()
gc.set_threshold(50_000, *_THRESHOLDS[1:])  # until the tests are imported: there is little garbage

settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# `nohup` and shells that start something in the background have them ignored, which every process below would inherit.
for each in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(each) is signal.SIG_IGN:
        signal.signal(each, signal.default_int_handler if each is signal.SIGINT else signal.SIG_DFL)

# On a disk the tests wait for longer than they compute: what they save is flushed to it (`fsync`) and soon removed.
_MEMORY, _NEEDED_BYTES = "/dev/shm", 2 * 2**30
if os.access(_MEMORY, os.W_OK):
    _found = os.statvfs(_MEMORY)
    if _found.f_bavail * _found.f_frsize >= _NEEDED_BYTES and not _found.f_flag & os.ST_NOEXEC:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)

_TESTS = Path(__file__).parent
FIRST = ("system_tests", "docs", "cli", "exporting", "training", "tuning", "launch")  # the long files


def pytest_configure(config: pytest.Config) -> None:
    """In a process of several, begins to collect at another folder than the others: each file is compiled by one."""
    worker = getattr(config, "workerinput", None)
    if worker is None or [Path(each).resolve() for each in config.args] != [_TESTS]:
        return
    folders = sorted(each for each in _TESTS.iterdir() if each.is_dir() and any(each.rglob("test_*.py")))
    begins = len(folders) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    files = sorted(_TESTS.glob("test_*.py"))
    config.args = list(map(str, [*folders[begins:], *files, *folders[:begins]]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first: one that begins last would be waited for by all other processes."""
    items.sort(key=lambda item: (not set(FIRST) & set(item.path.parts), item.path))


def pytest_collection_finish() -> None:
    """What was imported stays: a search for garbage leaves it alone."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
