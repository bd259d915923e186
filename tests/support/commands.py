"""`tfdqn` as a process of its own: started, watched with deadlines, signalled, and always ended."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.forked_commands import MARK, ForkedCommand, forked_command
from tests.support.tiny_runs import tiny
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.config.toml import dump
from tfdqn.records import Counters
from tfdqn.storage.checkpoints import Checkpoint, CheckpointManager
from tfdqn.system.processors import visible_gpus

PROJECT = Path(__file__).parents[2]
PROGRAM = "from tfdqn.__main__ import run; run()"
# However long after the first a signal comes that is to count as one with it.
TAKES_TWO_FOR_ONE = f"from tfdqn.system import signals\nsignals._ONE_SIGNAL_SECONDS = {PATIENCE_SECONDS}\n{PROGRAM}"
# Saves nothing while there is a file `held`.
SAVES_IN_TIME = f"""
import time
from pathlib import Path
from tfdqn.storage.checkpoints import CheckpointManager
def wait_and_save(*arguments, save=CheckpointManager.save):
    while Path("held").exists():
        time.sleep(0.01)
    return save(*arguments)
CheckpointManager.save = wait_and_save
{PROGRAM}
"""
# Both backends, and both schedules.
REVERB = ("replay.backend=reverb", "learner.schedule=overlap")
IN_GRAPH = ("replay.backend=in_graph", "learner.schedule=alternate")
ENDLESS = "stop.env_steps=100000000"
OFTEN = "checkpoint.interval_seconds=0.2"
_AGAIN = r"To (?:resume|begin again):\n(.*)"
# msgspec crashes where two threads make a decoder of one type at the same time.
_MSGSPEC = threading.Lock()
Process = subprocess.Popen[bytes] | ForkedCommand


class Tfdqn:
    """One `tfdqn …`; its outputs go to files, so that it never waits for a reader.

    Args:
      folder: where it runs, and where its outputs are kept.
      arguments: after `tfdqn`.
      environment: variables to set, or with None to unset.
      program: in Python, what is run.
      below: a command that runs it.
      is_forked: it begins with everything imported, which is not for tests of a start; by default where neither a
        program nor a command below is given.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str | None] | None = None,
        program: str = PROGRAM,
        below: Sequence[str] = (),
        is_forked: bool | None = None,
    ):
        self.mark = uuid.uuid4().hex
        given = {"PYTHONPATH": str(PROJECT), MARK: self.mark, "TF_CPP_MIN_LOG_LEVEL": None}
        variables: dict[str, str | None] = {**os.environ, **given, **(environment or {})}
        self._out, self._err = folder / f"{self.mark}.out", folder / f"{self.mark}.err"
        if is_forked is None:
            is_forked = program == PROGRAM and not below
        if is_forked and not visible_gpus():
            self._out.touch()
            changed = {**given, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}
            command = [program, *arguments]
            self._process: Process = forked_command(folder, self._out, self._err, command, changed)
            self.pid = self._process.pid
            return
        command = [*below, sys.executable, "-c", program]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                env={name: value for name, value in variables.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self.pid = self._process.pid

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def until(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits until a condition holds; fails at the deadline, or where the process ends before."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self._process.poll() is None, f"ended before {what}: {self.out}\n{self.err}"
            assert time.monotonic() < deadline, f"no {what}: {self.out}\n{self.err}"
            time.sleep(0.005)

    def until_saved(self, run: Path, beyond: Path | None = None) -> None:
        """Waits for a checkpoint, or for one after `beyond`."""
        self.until(lambda: (found := newest(run)) is not None and found != beyond, "checkpoint")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        """Waits for the end; the exit status."""
        return self._process.wait(PATIENCE_SECONDS)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def ended_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)

    def resumption(self) -> list[str]:
        """The arguments of the command that its output says to resume with."""
        (command,) = re.findall(_AGAIN, self.out)
        program, *arguments = shlex.split(command)
        assert program == "tfdqn"
        return arguments

    def relatives(self) -> list[int]:
        """Every living process that descends from it, and itself."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    environment = (entry / "environ").read_bytes()  # empty for a zombie
                except OSError:
                    continue  # has ended meanwhile
                if f"{MARK}={self.mark}".encode() in environment.split(b"\0"):
                    found.append(int(entry.name))
        return found


@contextmanager
def tfdqn(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str | None] | None = None,
    program: str = PROGRAM,
    below: Sequence[str] = (),
    is_forked: bool | None = None,
) -> Iterator[Tfdqn]:
    """A process that has ended when the block has."""
    process = Tfdqn(folder, *arguments, environment=environment, program=program, below=below, is_forked=is_forked)
    try:
        yield process
    finally:
        process.kill()


def ran(folder: Path, *arguments: str, environment: Mapping[str, str | None] | None = None) -> Tfdqn:
    """One that has ended."""
    with tfdqn(folder, *arguments, environment=environment) as process:
        process.ended()
    return process


def write_config(folder: Path, *overrides: str) -> str:
    """Writes the tiny configuration, changed, to `folder`; its name there."""
    with _MSGSPEC:
        (folder / "tiny.toml").write_text(dump(tiny(*overrides)))
    return "tiny.toml"


def newest(run: Path) -> Path | None:
    """The directory of the newest checkpoint."""
    try:
        names = sorted(name for name in os.listdir(run / "checkpoints") if name.isdecimal())
    except FileNotFoundError:
        return None
    return run / "checkpoints" / names[-1] if names else None


def readable(run: Path) -> Checkpoint:
    """The newest checkpoint, nothing of which is damaged, nor of those before it."""
    damage: list[str] = []
    with _MSGSPEC:
        checkpoint = CheckpointManager(run / "checkpoints").latest(on_damage=damage.append)
    assert checkpoint is not None
    assert not damage
    for name in ("learner", "actor", "writer", "replay"):
        checkpoint.arrays(name)
    return checkpoint


def counters(run: Path) -> Counters:
    return readable(run).counters


def side_by_side(case: Callable[[Path, Any], None], folder: Path, arguments: Sequence[Any]) -> None:
    """Calls `case(a folder of its own, argument)` for each argument, two at a time."""
    folders = [folder / str(number) for number in range(len(arguments))]
    for each in folders:
        each.mkdir()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(case, folders, arguments))


def assert_one_line(process: Tfdqn, *words: str) -> None:
    """Its stderr is one line, with all of these words in it."""
    (line,) = process.err.splitlines()
    assert line.startswith("tfdqn: ")
    for word in words:
        assert word in line
