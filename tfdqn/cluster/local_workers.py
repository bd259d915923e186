"""`LocalWorkers`: a run's other learning processes, started on this host and ended with this process.

Each is the same command with another `TF_CONFIG`, as it would be on another host.
"""

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from tfdqn.cluster.tf_config import CHIEF, VARIABLE, WORKER, Cluster
from tfdqn.errors import ClusterError
from tfdqn.system.addresses import free_addresses
from tfdqn.system.subprocesses import how_it_ended, start_process

_GRACE_SECONDS = 5.0


class LocalWorkers:
    """The processes of every task but the chief's, which is this process.

    Args:
      counts: of each job's tasks, as `tensorflow_jobs` gives them; without a chief worker 0 is it.
      command: what each process runs.
      logs: a folder for what they print, one file each.
    """

    def __init__(self, counts: Mapping[str, int], command: Sequence[str], logs: Path):
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
        """Raises ClusterError where a process has ended."""
        for name, (process, log) in self._processes.items():
            status = process.poll()
            if status is not None:
                raise ClusterError(f"{name} {how_it_ended(status)}; see {log}")

    def close(self) -> None:
        """Ends every process: asked first, then killed."""
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
        process = start_process(command, log, {VARIABLE: task.tf_config()})
        self._processes[task.name] = (process, log)
