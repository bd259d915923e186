"""`LocalWorkers`: a run's other learning processes, started on this host and ended with this process.

Each runs the same command with another `TF_CONFIG`, as on another host.
"""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from tfdqn.cluster.tf_config import CHIEF, VARIABLE, WORKER, Cluster, tensorflow_jobs
from tfdqn.config import Config
from tfdqn.errors import ClusterError
from tfdqn.system.addresses import free_addresses
from tfdqn.system.gpus import NONE_VISIBLE, deal
from tfdqn.system.subprocesses import how_it_ended, start_process

_GRACE_SECONDS = 5.0
Shares = Mapping[tuple[str, int], Mapping[str, str]]  # by job and index: variables that say which GPUs are seen


def share_gpus(config: Config, gpus: tuple[str, ...], say: Callable[[str], None]) -> Shares:
    """The GPUs of `train` and of the processes that it starts on this host; empty if it learns alone or has no GPU.

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
    """The share of the chief, which is this process."""
    return shares.get((CHIEF if CHIEF in tensorflow_jobs(config) else WORKER, 0), {})


class LocalWorkers:
    """The processes of every task but the chief's, which is this process.

    Args:
      counts: of each job's tasks, from `tensorflow_jobs`; without a job "chief", worker 0 is the chief.
      command: what each process runs.
      logs: a folder for what they print, one file each.
      gpus: from `share_gpus`.
    """

    def __init__(self, counts: Mapping[str, int], command: Sequence[str], logs: Path, gpus: Shares | None = None):
        self._gpus = gpus or {}
        addresses = iter(free_addresses(sum(counts.values())))
        jobs = {job: tuple(islice(addresses, count)) for job, count in counts.items()}
        self.cluster = Cluster(jobs=jobs, job=CHIEF if CHIEF in jobs else WORKER, index=0)
        self._processes: dict[str, tuple[subprocess.Popen, Path]] = {}
        logs.mkdir(parents=True, exist_ok=True)
        try:
            for job, count in counts.items():
                for index in range(count):
                    if (job, index) != (self.cluster.job, self.cluster.index):
                        self._start(self.cluster.seen_from(job, index), command, logs)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name ("worker 1")."""
        return {name: process.pid for name, (process, _) in self._processes.items()}

    def check(self) -> None:
        """Raises ClusterError if a process has ended."""
        for name, (process, log) in self._processes.items():
            status = process.poll()
            if status is not None:
                raise ClusterError(f"{name} {how_it_ended(status)}; see {log}")

    def close(self) -> None:
        """Ends every process: asks it to end, then kills it."""
        processes = [process for process, _ in self._processes.values()]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in processes:
            try:
                process.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                with suppress(subprocess.TimeoutExpired):  # one whose disk hangs is left to the kernel
                    process.wait(_GRACE_SECONDS)

    def _start(self, task: Cluster, command: Sequence[str], logs: Path) -> None:
        log = logs / f"{task.job}-{task.index}.log"
        own = self._gpus.get((task.job, task.index), {})
        process = start_process(command, log, {VARIABLE: task.tf_config(), **own})
        self._processes[task.name] = (process, log)
