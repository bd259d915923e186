"""A fork is what a process of its own would be, and neither needs its server nor outlives its parent."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import PROJECT
from tests.support.processes import is_running
from tests.support.waiting import until
from tfdqn.system.fork_server import ForkedProcess, ForkServer, fork_server
from tfdqn.system.subprocesses import ChildHandle, start_process, status_when_ended

PRELOADED = "import os, numpy\nimported_by = os.getpid()\n"
# The file that it writes to is its last argument; it ends with the status that is its first.
REPORT = """
import json, os, sys
from pathlib import Path
import numpy as np
import preloaded
print("said", flush=True)
print("complained", file=sys.stderr, flush=True)
Path(sys.argv[-1]).write_text(json.dumps({
    "original": sys.orig_argv[:4], "arguments": sys.argv,
    "name": __name__, "cwd": os.getcwd(), "stdin": sys.stdin.read(),
    "parent": os.getppid(), "group": os.getpgid(0), "session": os.getsid(0),
    "environment": dict(os.environ), "number": np.random.random(),
    "imported_here": preloaded.imported_by == os.getpid(),
    "command": Path("/proc/self/cmdline").read_bytes().decode().rstrip(chr(0)).split(chr(0)),
    "files": sorted(os.listdir("/proc/self/fd")),
}))
sys.exit(int(sys.argv[1]))
"""
SLEEP = (sys.executable, "-m", "timeit", "-n", "1", "-r", "1", "__import__('time').sleep(100)")


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "preloaded.py").write_text(PRELOADED)
    (tmp_path / "report.py").write_text(REPORT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("REMOVED", "1")


def ended(child: ChildHandle) -> int:
    until(lambda: status_when_ended(child) is not None)
    assert child.returncode is not None
    return child.returncode


def killed(child: ChildHandle) -> None:
    os.kill(child.pid, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL


@contextmanager
def prepared(*modules: str) -> Iterator[ForkServer]:
    with ForkServer(modules or ("preloaded",)) as server:
        server.prepare(SLEEP, lambda: False)
        yield server


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def parent_of_orphan(command: str) -> int:
    done = subprocess.run([sys.executable, "-c", command], stdout=subprocess.PIPE, check=True, text=True)
    pid = int(done.stdout)
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pid, signal.SIGKILL)
    return parent


def report(child: ChildHandle, file: str) -> dict[str, Any]:
    assert ended(child) == 7
    return json.loads(Path(file).read_text())


def test_a_fork_is_what_a_process_of_its_own_would_be(tmp_path: Path) -> None:
    log, environment = tmp_path / "log", {"ADDED": "ü", "REMOVED": None}
    found = {}
    with prepared() as server:
        for name, start in (("forked", server.start), ("again", server.start), ("started", start_process)):
            child = start((sys.executable, "-m", "report", "7", "a b", f"{name}.json"), log, environment)
            found[name] = report(child, f"{name}.json")
            assert isinstance(child, ForkedProcess) == (name != "started")
            assert found[name].pop("group") == found[name].pop("session") == child.pid
            assert found[name].pop("imported_here") == (name == "started")
    assert log.read_text() == "said\ncomplained\n" * 3
    assert len({each.pop("number") for each in found.values()}) == 3
    for each in found.values():
        assert each["arguments"].pop().endswith(".json") and each["command"].pop().endswith(".json")
    assert found["forked"] == found["again"]
    assert found["started"]["environment"].items() <= found["forked"]["environment"].items()
    assert "REMOVED" not in found["forked"]["environment"]
    del found["started"]["environment"], found["forked"]["environment"]
    assert found["forked"] == found["started"]
    assert found["forked"]["parent"] == os.getpid()


def test_what_imports_print_is_no_answer() -> None:
    Path("preloaded.py").write_text("print('1')\nprint('1', end='')\n")
    with prepared() as server:
        child = server.start(SLEEP, Path("log"), {})
        assert isinstance(child, ForkedProcess) and child.pid in children()
        killed(child)
        assert not Path("log").read_text()


def test_its_end_by_a_signal_is_known() -> None:
    with prepared() as server:
        child = server.start(SLEEP, Path("log"), {})
        assert isinstance(child, ForkedProcess) and status_when_ended(child) is None
        os.kill(child.pid, signal.SIGTERM)
        assert ended(child) == -signal.SIGTERM


def test_it_outlives_the_server_after_whose_end_processes_are_started_without_it() -> None:
    with prepared() as server:
        forked = server.start(SLEEP, Path("log"), {})
        assert server._process is not None
        server._process.kill()
        server._process.wait()
        child = server.start((sys.executable, "-m", "report", "7", "after.json"), Path("log"), {})
        assert isinstance(child, subprocess.Popen) and report(child, "after.json")["imported_here"]
    assert is_running(forked.pid)
    killed(forked)


@pytest.mark.parametrize("has_its_own_session", [False, True])
def test_what_a_killed_fork_had_started_does_not_stay_with_this_process(has_its_own_session: bool) -> None:
    Path("parent.py").write_text(
        "import subprocess, sys, time\n"
        "from pathlib import Path\n"
        "*command, own = sys.argv[1:]\n"
        "Path('pid').write_text(str(subprocess.Popen(command, start_new_session=own == 'True').pid))\n"
        "Path('pid').rename('started')\n"
        "time.sleep(100)\n"
    )
    with prepared() as server:
        child = server.start((sys.executable, "-m", "parent", *SLEEP, str(has_its_own_session)), Path("log"), {})
        assert isinstance(child, ForkedProcess)
        until(Path("started").exists)
        grandchild = int(Path("started").read_text())
        killed(child)
        assert grandchild not in children()
        if has_its_own_session:
            os.kill(grandchild, signal.SIGKILL)
        until(lambda: not is_running(grandchild))


def test_a_fork_says_its_pid_before_anything_that_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.system.fork_server._FORK_SECONDS", 60.0)
    Path("preloaded.py").write_text(
        "import os, time\nopened = os.open\nos.open = lambda *args: time.sleep(100) or opened(*args)\n"
    )
    with prepared() as server:
        child = server.start(SLEEP, Path("log"), {})
        assert isinstance(child, ForkedProcess) and os.getsid(child.pid) == child.pid
        killed(child)


def test_it_calls_the_exit_handlers_of_what_the_server_has_imported() -> None:
    Path("preloaded.py").write_text("import atexit\natexit.register(lambda: print('handled', flush=True))")
    with prepared() as server:
        child = server.start((sys.executable, "-m", "tfdqn", "version"), Path("log"), {})
        assert isinstance(child, ForkedProcess) and ended(child) == 0
    assert Path("log").read_text().endswith("\nhandled\n")


def test_a_fork_that_comes_too_late_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with prepared() as server:
        assert server._process is not None
        before = set(children())
        pipe = server._process.stdout
        monkeypatch.setattr(server, "_answer", lambda seconds: select.select([pipe], [], [])[0] and None)
        child = server.start(SLEEP, Path("log"), {})
        assert isinstance(child, subprocess.Popen)
        assert set(children()) - before == {child.pid}
        child.kill()
        assert ended(child) == -signal.SIGKILL


def test_where_children_are_reaped_by_the_kernel_an_end_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with prepared() as server:
            child = server.start((sys.executable, "-m", "report", "7", "file.json"), Path("log"), {})
            assert isinstance(child, ForkedProcess) and ended(child) == 0
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert Path("file.json").exists()


def test_orphans_are_not_this_processs_while_no_fork_is_awaited() -> None:
    command = "import subprocess; print(subprocess.Popen(['sleep', '100'], stdout=-3).pid)"
    with prepared() as server:
        child = server.start((sys.executable, "-m", "report", "7", "file.json"), Path("log"), {})
        assert isinstance(child, ForkedProcess) and ended(child) == 7
        assert parent_of_orphan(command) != os.getpid()


PARENT = """
import sys, time
from pathlib import Path
from tfdqn.system.fork_server import ForkServer
with ForkServer(["preloaded"]) as server:
    server.prepare(sys.argv[1:], lambda: False)
    print(*(type(each).__name__ + " " + str(each.pid) for each in [server.start(sys.argv[1:], Path("log"), {})]))
    print(server._process.pid, flush=True)
    time.sleep(100)
"""


def test_neither_forks_nor_the_server_outlive_their_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, *SLEEP], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        kind, forked = parent.stdout.readline().split()
        server = int(parent.stdout.readline())
        assert kind == "ForkedProcess" and is_running(int(forked)) and is_running(server)
        parent.send_signal(signal.SIGKILL)
    until(lambda: not is_running(int(forked)) and not is_running(server))


def test_a_server_that_cannot_import_its_modules_is_done_without() -> None:
    with prepared("preloaded", "there_is_none") as server:
        child = server.start((sys.executable, "-m", "report", "7", "file.json"), Path("log"), {})
        assert isinstance(child, subprocess.Popen) and report(child, "file.json")["imported_here"]


def test_an_interruption_ends_the_wait_for_it() -> None:
    Path("preloaded.py").write_text("import time; time.sleep(1000)")
    begun = time.monotonic()
    with ForkServer(["preloaded"]) as server:
        server.prepare(SLEEP, lambda: time.monotonic() > begun + 0.5)
        child = server.start((sys.executable, "-c", "pass"), Path("log"), {})
        assert isinstance(child, subprocess.Popen) and ended(child) == 0


def test_another_command_than_a_module_of_this_python_is_started() -> None:
    command = ["sh", "-c", "exit 3"]
    with ForkServer(["preloaded"]) as server:
        for prepared, has_server in ((command, False), (SLEEP, True)):
            server.prepare(prepared, lambda: False)
            assert (server._process is not None) == has_server
            child = server.start(command, Path("log"), {})
            assert isinstance(child, subprocess.Popen) and ended(child) == 3


def test_a_log_that_cannot_be_written_is_the_parents_error(tmp_path: Path) -> None:
    with prepared() as server, pytest.raises(IsADirectoryError):
        server.start(SLEEP, tmp_path, {})


@pytest.mark.parametrize(("processes", "gpus", "has_server"), [(2, "", True), (1, "", False), (2, "0", False)])
def test_there_is_one_for_several_processes_without_gpus(
    processes: int, gpus: str, has_server: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    with fork_server(["preloaded"], processes) as server:
        assert (server is not None) == has_server
