"""`LocalWorkers`: starts the other learning processes of a run on this host, and ends them.

All run the same command, each with its own `TF_CONFIG`, just as they would on other hosts.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from tfdqn.cluster.tf_config import CHIEF, VARIABLE, WORKER, Cluster, tensorflow_jobs
from tfdqn.config import Config
from tfdqn.errors import ClusterError
from tfdqn.system.addresses import free_addresses
from tfdqn.system.fork_server import ForkServer, fork_server
from tfdqn.system.processors import NONE_VISIBLE, deal
from tfdqn.system.subprocesses import TFDQN, ChildHandle, Starter, how_it_ended, start_process

TRAIN = (*TFDQN, "train")
_MODULES = ("tfdqn.cli.training", "tfdqn.roles.entry", "tfdqn.roles.lockstep_worker", "tfdqn.roles.parameter_server")
_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.01
Shares = Mapping[tuple[str, int], Mapping[str, str]]  # (job, index) → environment variables that select its GPUs


def share_gpus(config: Config, gpus: tuple[str, ...], say: Callable[[str], None]) -> Shares:
    """Divides this host's GPUs among the chief and the processes that it starts; empty if there are none of either.

    Raises ConfigError as `deal` does.
    """
    jobs = tensorflow_jobs(config)
    if not jobs or not gpus:
        return {}
    tasks = [(job, index) for job, count in jobs.items() for index in range(count)]
    computing = [task for task in tasks if task[0] == WORKER]  # a chief beside them computes no gradient
    dealt = deal(computing, gpus, say, all_reduce=config.learner.all_reduce)
    return {task: {} if task in computing else NONE_VISIBLE for task in tasks} | dealt


def own_share(config: Config, shares: Shares) -> Mapping[str, str]:
    """The environment variables that select the GPUs of the chief, which is this process."""
    return shares.get((CHIEF if CHIEF in tensorflow_jobs(config) else WORKER, 0), {})


@contextmanager
def fork_server_of_workers(config: Config, cluster: Cluster | None, *, begins: bool) -> Iterator[ForkServer | None]:
    """A server that forks the processes of `LocalWorkers`; None where it would not shorten their start.

    With a `cluster` they are on other hosts. If it `begins`, it imports from now on, while this process does;
    otherwise it is of use to several only.
    """
    others = 0 if cluster is not None else max(sum(tensorflow_jobs(config).values()) - 1, 0)
    if threading.current_thread() is not threading.main_thread():
        others = 0
    with fork_server(_MODULES, others + begins) as server:
        if server is not None and begins:
            server.begin(TRAIN)
        yield server


class LocalWorkers:
    """The processes of all tasks other than the chief's, which is this process.

    Args:
      counts: from `tensorflow_jobs`; without a job "chief", worker 0 is the chief.
      command: every process runs it.
      logs: the folder for their output, one file each.
      gpus: the result of `share_gpus`.
      start: starts a process, as `start_process`.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        command: Sequence[str],
        logs: Path,
        gpus: Shares | None = None,
        start: Starter = start_process,
    ):
        self.logs = logs
        self._gpus, self._start_process = gpus or {}, start
        addresses = iter(free_addresses(sum(counts.values())))
        jobs = {job: tuple(islice(addresses, count)) for job, count in counts.items()}
        self.cluster = Cluster(jobs=jobs, job=CHIEF if CHIEF in jobs else WORKER, index=0)
        self._processes: dict[str, tuple[ChildHandle, Path]] = {}
        logs.mkdir(parents=True, exist_ok=True)
        try:
            for job, count in counts.items():
                for index in range(count):
                    if (job, index) != (self.cluster.job, self.cluster.index):
                        self._start(replace(self.cluster, job=job, index=index), command, logs)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> dict[str, int]:
        """The operating system's ids of the processes, by name ("worker 1")."""
        return {name: process.pid for name, (process, _) in self._processes.items()}

    def ended(self) -> list[str]:
        """The names of the processes that have ended."""
        return [name for name, (process, _) in self._processes.items() if process.poll() is not None]

    def check(self) -> None:
        """Raises ClusterError if a process has ended."""
        for name, (process, log) in self._processes.items():
            status = process.poll()
            if status is not None:
                raise ClusterError(f"{name} {how_it_ended(status)}; see {log}")

    def close(self) -> None:
        """Ends all processes: sends SIGTERM, and kills those that don't end within seconds."""
        processes = [process for process, _ in self._processes.values()]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in processes:
                if process.poll() is None:
                    with suppress(ProcessLookupError):  # it has just ended
                        os.kill(process.pid, number)
            deadline = time.monotonic() + _GRACE_SECONDS  # also when killed: not while its disk hangs
            while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)

    def _start(self, task: Cluster, command: Sequence[str], logs: Path) -> None:
        log = logs / f"{task.job}-{task.index}.log"
        own = self._gpus.get((task.job, task.index), {})
        process = self._start_process(command, log, {VARIABLE: task.tf_config(), **own})
        self._processes[task.name] = (process, log)
