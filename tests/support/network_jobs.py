"""A job whose every process is a `tfdqn run` on a host of its own, started again as a platform would."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.support.commands import PROJECT, counters, newest
from tests.support.learning_jobs import LearningJob
from tests.support.network_namespaces import Network
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.cluster.program import Process, make_program
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.coordination.messages import Inspection, ProcessStatus
from tfdqn.launch.inspector import Report
from tfdqn.launch.supervised_process import SupervisedProcess
from tfdqn.records import Counters
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.subprocesses import TFDQN, last_line, start_process

_LOOK_SECONDS = 0.1
_FRESH_SECONDS = 4.0


class FarJob(LearningJob):
    """Made by `far_job`.

    Args:
      folder: for everything; the run directory is `folder/run`, as on storage that all hosts share.
      config: the job's.
      topology: with addresses of the network's hosts.
      network: of which host is whose says `hosts`.
    """

    def __init__(
        self, folder: Path, config: Config, topology: Topology, network: Network, hosts: Mapping[ProcessId, str]
    ):
        self.network, self.hosts = network, hosts
        self.run = RunDir(folder / "run")
        self._folder, self._config, self._topology = folder, config, topology
        (folder / "job.toml").write_text(dump(config))
        (folder / "cluster.json").write_bytes(topology.to_json())
        for name in ("logs", "heartbeats"):
            (folder / name).mkdir()
        program = make_program(
            config,
            topology,
            config_file=str(folder / "job.toml"),
            cluster_file=str(folder / "cluster.json"),
            run_dir=str(self.run.path),
        )
        self._all = {each.id: self._supervised(each) for each in program.processes}
        self._statuses: dict[ProcessId, list[int]] = {process_id: [] for process_id in self._all}
        self._away: set[ProcessId] = set()
        self._failure = ""
        self._ended = threading.Event()
        self._platform = threading.Thread(target=self._look_after_all, daemon=True)
        self._inspector: subprocess.Popen | None = None

    def start(self) -> None:
        self._platform.start()

    def end(self) -> None:
        """Kills everybody."""
        self._ended.set()
        self._platform.join(30)
        if self._inspector is not None:
            self._inspector.kill()
            self._inspector.wait(30)

    def host_is_lost(self, process_id: ProcessId) -> None:
        """With the process on it, and every connection: nobody is told. `host_is_back` starts both anew."""
        self._away.add(process_id)
        self.network.cut(self.hosts[process_id])
        self._all[process_id].kill()
        self.until(lambda: not self._all[process_id].is_alive, f"end of {process_id}")
        self.network.lose(self.hosts[process_id])

    def host_is_back(self, process_id: ProcessId) -> None:
        self.network.begin(self.hosts[process_id])
        self._away.remove(process_id)

    def pid(self, process_id: ProcessId) -> int | None:
        return self._all[process_id].pid

    def statuses(self, process_id: ProcessId) -> list[int]:
        """By which its lives have ended."""
        return list(self._statuses[process_id])

    def address(self, process_id: ProcessId) -> str:
        return self._topology.address(process_id)

    def log(self, process_id: ProcessId) -> str:
        """What its lives have printed."""
        return self._all[process_id].log.read_text(errors="replace")

    def inspection(self) -> Inspection | None:
        """As the learner said in the last seconds."""
        output = self._folder / "inspections"
        if self._inspector is None or self._inspector.poll() is not None:
            command = (*self.network.command(self.hosts[LEARNER]), *TFDQN, "inspect")
            with output.open("wb") as file:
                self._inspector = subprocess.Popen(
                    [*command, self._topology.learner, "--json", "--watch"],
                    env={**os.environ, "PYTHONPATH": str(PROJECT)},
                    stdout=file,
                    stderr=subprocess.DEVNULL,
                )
        if time.time() - output.stat().st_mtime > _FRESH_SECONDS:
            return None
        whole = output.read_bytes().rpartition(b"\n")[0]
        return msgspec.json.decode(whole.splitlines()[-1], type=Report).inspection if whole else None

    def status(self, process_id: ProcessId) -> ProcessStatus | None:
        """As the learner knows a process."""
        seen = self.inspection()
        found = [each for each in seen.processes if each.heartbeat.process_id == process_id] if seen else []
        return found[0] if found else None

    def is_heard(self, process_id: ProcessId) -> bool:
        """By the learner, which it has joined."""
        status = self.status(process_id)
        return status is not None and status.seconds_since_heartbeat < 3 and status.heartbeat.joined != ""

    def until_at_work(self, process_id: ProcessId) -> None:
        """Waits for what only a process that takes part again does: an actor's steps, an evaluation."""
        if process_id.role is Role.ACTOR:
            first = self._env_steps(process_id)
            self.until(lambda: self._env_steps(process_id) > first, f"environment steps of {process_id}")
        if process_id.role is Role.EVALUATOR:
            length = len(self.log(process_id))
            self.until(lambda: len(self.log(process_id)) > length, f"an evaluation of {process_id}")

    def state(self, process_id: ProcessId) -> str:
        """What it does, as it tells its own host."""
        heartbeat = self._all[process_id].heartbeat
        return "" if heartbeat is None else heartbeat.state

    def silent_replay_seconds(self, index: int) -> float:
        """For how long the learner has not heard a replay server."""
        seen = self.inspection()
        return seen.replay[index].seconds_since_answer if seen is not None and seen.replay else float("nan")

    def until_saved(self) -> Counters:
        """Waits for another checkpoint; what it says."""
        before = newest(self.run.path)
        self.until(lambda: newest(self.run.path) not in (before, None), "another checkpoint")
        return counters(self.run.path)

    def until(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits until a condition holds; fails at the deadline, or where a process has ended for good."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert not self._failure, self._failure
            assert time.monotonic() < deadline, f"no {what} after {seconds:.0f} s; {self.last_lines()}"
            time.sleep(0.05)

    def assert_not_behind(self, saved: Counters) -> None:
        """No counter may be behind what a checkpoint holds."""
        seen: list[Inspection] = []
        self.until(lambda: (found := self.inspection()) and not seen.append(found), "inspection")
        for name in ("env_steps", "train_steps", "episodes"):
            assert getattr(seen[-1], name) >= getattr(saved, name), name

    def last_lines(self) -> str:
        return "; ".join(f"{process_id}: {last_line(each.log, 0)}" for process_id, each in self._all.items())

    def _env_steps(self, process_id: ProcessId) -> int:
        status = self.status(process_id)
        return -1 if status is None else status.heartbeat.counts.env_steps

    def _supervised(self, process: Process) -> SupervisedProcess:
        command = (*self.network.command(self.hosts[process.id]), *TFDQN)
        logs, heartbeats = self._folder / "logs", self._folder / "heartbeats"
        return SupervisedProcess(process, command, logs, heartbeats, self._config.health, start_process)

    def _look_after_all(self) -> None:
        """As a platform: in a thread, with which the processes die."""
        for each in self._all.values():
            each.start()
        while not self._ended.wait(_LOOK_SECONDS):
            for process_id, each in self._all.items():
                if each.look():
                    assert each.status is not None
                    self._statuses[process_id].append(each.status)
                    if each.status == 2 or each.is_given_up:
                        self._failure = f"{process_id} has ended for good: {last_line(each.log, 0)}"
                    each.plan_restart()
                elif each.is_silent:
                    each.kill()
                elif process_id not in self._away and not each.is_alive and (each.starts_in_seconds or 0) <= 0:
                    each.start()
        for each in self._all.values():
            each.send(signal.SIGCONT)
            each.kill()
        deadline = time.monotonic() + 20
        while any(each.is_alive for each in self._all.values()) and time.monotonic() < deadline:
            for each in self._all.values():
                each.look()
            time.sleep(0.01)


@contextmanager
def far_job(
    folder: Path, config: Config, topology: Topology, network: Network, hosts: Mapping[ProcessId, str]
) -> Iterator[FarJob]:
    """A job that has ended, with all its processes, when the block has."""
    made = FarJob(folder, config, topology, network, hosts)
    made.start()
    try:
        yield made
    finally:
        made.end()
