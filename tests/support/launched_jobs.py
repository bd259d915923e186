"""A job of many processes under its supervisor, as tests see it: who is who, how it stands, how to end some of it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.commands import Tfdqn, counters, newest, tfdqn
from tests.support.learning_jobs import LearningJob
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.cluster.roles import ProcessId
from tfdqn.cluster.topology import Topology, read_topology
from tfdqn.coordination.heartbeat_files import heartbeat_file, read_heartbeat
from tfdqn.coordination.messages import Inspection, Nothing
from tfdqn.coordination.rpc import Caller, RefusedError, UnreachableError
from tfdqn.records import Counters
from tfdqn.storage.run_directory import RunDir

QUICK_HEALTH = ("health.beat_seconds=0.5", "health.dead_after_seconds=6", "health.patience_seconds=120")


class Job(LearningJob):
    """A `tfdqn launch` that is under way in `folder`; its run directory is `folder/run`."""

    def __init__(self, process: Tfdqn, folder: Path):
        self.process = process
        self.run = RunDir(folder / "run")
        self._caller: Caller | None = None

    @property
    def topology(self) -> Topology:
        return read_topology(self.run.cluster_file)

    def pid(self, process_id: ProcessId) -> int:
        """Of a living process."""
        found: list[int] = []

        def is_there() -> bool:
            heartbeat = read_heartbeat(heartbeat_file(process_id, self.run.heartbeats))
            if heartbeat is not None and heartbeat.pid in self.process.relatives():
                found.append(heartbeat.pid)
            return bool(found)

        self.until(is_there, f"heartbeat of {process_id}")
        return found[0]

    def inspection(self) -> Inspection | None:
        """As the learner says; None where it does not answer."""
        if self._caller is None:
            if not self.run.cluster_file.exists():
                return None
            self._caller = Caller(self.topology.learner)
        try:
            return self._caller("inspect", Nothing(), Inspection, 5.0)
        except (UnreachableError, RefusedError):
            return None

    def lives(self, process_id: ProcessId) -> set[str]:
        """Of a process that the learner knows and hears."""
        seen = self.inspection()
        statuses = [] if seen is None else [each for each in seen.processes if each.heartbeat.process_id == process_id]
        return {each.heartbeat.life for each in statuses if each.seconds_since_heartbeat < 3}

    def until(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        self.process.until(condition, what, seconds)

    def until_saved(self) -> Counters:
        """Waits for another checkpoint; what it says."""
        before = newest(self.run.path)
        self.until(lambda: newest(self.run.path) not in (before, None), "another checkpoint")
        return counters(self.run.path)

    def send(self, process_id: ProcessId, number: signal.Signals) -> int:
        """Signals a process; its id."""
        pid = self.pid(process_id)
        os.kill(pid, number)
        return pid

    def until_replaced(self, process_id: ProcessId, pid: int) -> None:
        """Waits until another process plays the process's part."""
        self.until(lambda: self.pid(process_id) != pid, f"another process for {process_id} than {pid}")

    @contextmanager
    def supervisor_held(self) -> Iterator[None]:
        """While the block runs, the supervisor sees and does nothing."""
        self.process.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send(signal.SIGCONT)

    def log(self, process_id: ProcessId) -> str:
        return (self.run.process_logs / f"{process_id.file_stem}.log").read_text(errors="replace")

    def stop(self) -> None:
        """Ctrl-C: everybody ends, nothing is left."""
        self.process.send(signal.SIGINT)
        assert self.process.ended_within(PATIENCE_SECONDS), self.process.out
        assert self.process.ended() == 0, self.process.err
        assert self.process.relatives() == []


@contextmanager
def job(folder: Path, config: str, *arguments: str) -> Iterator[Job]:
    """A launched job that has ended, with all that it started, when the block has."""
    with tfdqn(folder, "launch", config, *arguments, "--run-dir", "run") as process:
        yield Job(process, folder)
    deadline = time.monotonic() + 20
    while relatives := process.relatives():
        assert time.monotonic() < deadline, f"left behind: {relatives}"
        time.sleep(0.05)
