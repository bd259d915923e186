"""A job of stand-ins under the supervisor: a script of what is waited for and done."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.commands import PROJECT
from tests.support.tiny_runs import tiny
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.cluster.program import local_topology, make_program
from tfdqn.cluster.roles import ProcessId
from tfdqn.config import Health
from tfdqn.launch.supervisor import JobStatus, Supervisor

STAND_IN = (sys.executable, str(PROJECT / "tests" / "support" / "fake_role.py"))
EVERY = ("learner.strategy=parameter_server", "acting.actors=2")


class Job:
    """A job of stand-ins, and what is seen of it; each step of a script waits until its condition holds.

    Args:
      folder: where the stand-ins find what they are told, and leave what they did.
      share: who of the job is run; everybody if not given.
      command: what stands before a process's arguments.
    """

    def __init__(
        self,
        folder: Path,
        *overrides: str,
        health: Health | None = None,
        share: tuple[ProcessId, ...] = (),
        command: Sequence[str] = STAND_IN,
    ):
        self.folder, self.lines = folder, list[str]()
        self.status = JobStatus([], None)
        config = tiny(*overrides)
        program = make_program(
            config, local_topology(config), config_file="c.toml", cluster_file="cluster.json", run_dir="run"
        )
        if share:
            program = program.share(share)
        logs = folder / "processes"
        logs.mkdir(exist_ok=True)
        health = health or Health(dead_after_seconds=20.0)
        self.supervisor = Supervisor(program, logs, logs / "beats", health, self, command=command)
        self._began = time.monotonic()

    def say(self, line: str) -> None:
        self.lines.append(line)

    def show(self, status: JobStatus) -> None:
        self.status = status

    def tell(self, name: str, *lives: str) -> None:
        (self.folder / f"{name}.do").write_text("\n".join(lives))

    def end(self) -> None:
        (self.folder / "over").touch()

    def run(self, *steps: Callable[[], object]) -> bool:
        """Runs the job; each step is asked again and again until it holds. Then it is over, or `stop` says stop."""
        left = list(steps)

        def interrupted() -> bool:
            assert time.monotonic() < self._began + PATIENCE_SECONDS, (left, self.lines, self.status)
            if left and (holds := left[0]()):
                left.pop(0)
                if holds is stop:
                    return True
                if not left:
                    self.end()
            return False

        return self.supervisor.run(interrupted)

    def pids(self, name: str) -> list[int]:
        file = self.folder / f"{name}.lives"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    def lives(self, name: str, count: int = 1) -> Callable[[], bool]:
        """Whether that many lives of a process have begun, and the last is at work."""
        return lambda: len(self.pids(name)) == count and self.has_shown(name, "at work")

    def has_shown(self, name: str, state: str) -> bool:
        """Whether the last status, if there is one yet, has a process in this state."""
        return any(row.process_id.file_stem == name and row.state == state for row in self.status.rows)

    def row(self, name: str):  # type: ignore[no-untyped-def]
        return next(row for row in self.status.rows if row.process_id.file_stem == name)

    def everybody_works(self) -> bool:
        return bool(self.status.rows) and all(row.state == "at work" for row in self.status.rows)

    def everybody(self) -> list[int]:
        return [pid for file in self.folder.glob("*.lives") for pid in self.pids(file.stem)]


def stop() -> object:
    return stop


def kill(job: Job, name: str, number: int = signal.SIGKILL) -> bool:
    os.kill(job.pids(name)[-1], number)
    return True
