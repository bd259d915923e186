"""`OtherProcesses`: those that learn with the chief: what starts them, which wait for which, and what ends a wait.

In this order:

1. `start_processes` starts them on this host, unless they are started elsewhere, and `TF_CONFIG` or a job names them.
2. The chief's watchdog is told of `required_peers`. From then on it ends the chief if one is silent beyond patience.
3. `meet` returns when all have met. Under parameter servers, the chief polls the others until all answer, and then
   TensorFlow connects it to them. Processes in lockstep wait for one another inside a collective, which the watchdog's
   poll aborts if one has ended.
4. While the chief learns, it calls `check`, and `lost_as_cluster_error` names the process behind TensorFlow's error.
5. `close` ends those that were started here, and tells parameter servers and their workers elsewhere that all is done.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import tensorflow as tf

# A coordinator's errors are not part of the public API.
from tensorflow.python.distribute.coordinator.cluster_coordinator import ClosureAbortedError, ClosureInputError

from tfdqn.cluster.local_workers import TRAIN, LocalWorkers, Shares
from tfdqn.cluster.tf_config import CHIEF, PARAMETER_SERVER, WORKER, Cluster, tensorflow_jobs
from tfdqn.cluster.tf_errors import in_one_line
from tfdqn.config import Config
from tfdqn.coordination.peers import Peers
from tfdqn.errors import ClusterError
from tfdqn.learning.strategies.distribution import abort_collectives, dismiss, make_strategy
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.fork_server import ForkServer
from tfdqn.system.signals import ended_by_signals, heard_signal

_POLL_SECONDS = 0.2
_SECONDS_TO_BE_SEEN_DEAD = 0.5  # a connection breaks before the system reports that the process has ended


def start_processes(
    config: Config, run_dir: RunDir, gpus: Shares, server: ForkServer | None, interrupted: Callable[[], bool]
) -> "OtherProcesses | None":
    """Starts the processes that the strategy needs besides this one, on this host; None if it needs none.

    Args:
      run_dir: the claimed run directory, which has their configuration and takes their logs.
      gpus: their shares of the GPUs.
      server: forks them, and ends; None: each is started by itself.
      interrupted: ends the wait for the server.
    """
    command = [*TRAIN, str(Path(run_dir.config_file).resolve())]
    if not (jobs := tensorflow_jobs(config)):
        return None
    if server is None:
        started = LocalWorkers(jobs, command, run_dir.process_logs, gpus)
    else:
        with server:
            server.prepare(command, interrupted)
            started = LocalWorkers(jobs, command, run_dir.process_logs, gpus, server.start)
    return OtherProcesses(config, started.cluster, started)


class RequiredPeers(NamedTuple):
    """Processes without which the chief can't learn."""

    peers: Peers
    answer: str  # in words, what happens when they all answer


class OtherProcesses:
    """The processes that learn with the chief of a cluster, which is this process.

    `started` has them if this process has started them; None: they are started elsewhere.
    """

    def __init__(self, config: Config, cluster: Cluster, started: LocalWorkers | None = None):
        self.cluster = cluster
        self._config, self._started = config, started
        self._has_servers = config.learner.strategy == "parameter_server"

    def required_peers(self) -> list[RequiredPeers]:
        """The processes to be polled, for one thread."""
        if self._has_servers:
            return [
                RequiredPeers(Peers(self._addresses(PARAMETER_SERVER)), "all parameter servers answer"),
                RequiredPeers(Peers(self._addresses(WORKER), may_end=True), "all workers answer"),
            ]
        in_lockstep = self._addresses(CHIEF, WORKER)
        return [RequiredPeers(Peers(in_lockstep, on_end=self._abort, known_ended=self._ended), "all workers answer")]

    def meet(self, devices: Sequence[str], say: Callable[[str], None]) -> tf.distribute.Strategy | None:
        """Waits until all have met, and returns the strategy that connects them. Meanwhile a signal ends this process.

        `devices` are this process's. Raises ClusterError if one is lost; those that were started are then ended.
        """
        say(f"{self._in_words()}; until all processes have met, Ctrl-C ends this one at once, and nothing is lost")
        tf.get_logger().setLevel("CRITICAL")  # it would report a lost process in fifty lines; we do in one
        if heard_signal():
            say("stopped before all processes had met: nothing has been learned since the start")
        try:
            with ended_by_signals(), self.lost_as_cluster_error():
                if self._has_servers:
                    self._wait_for_answers()
                    return self._connect(devices)
                return make_strategy(self._config, self.cluster, devices)
        except BaseException:
            if self._started is not None:
                self._started.close()
            raise

    def check(self) -> None:
        """Raises ClusterError if a process that was started has ended."""
        if self._started is not None:
            self._started.check()

    @contextmanager
    def lost_as_cluster_error(self) -> Iterator[None]:
        """Turns TensorFlow's long errors about lost processes into a ClusterError of one line that names the process.

        Other errors are raised unchanged.
        """
        try:
            yield
        except (tf.errors.OpError, ClosureInputError, ClosureAbortedError) as error:
            time.sleep(_SECONDS_TO_BE_SEEN_DEAD)
            self.check()
            if (line := in_one_line(error, self.cluster, "the cluster")) is None:
                raise
            raise ClusterError(line) from error

    def close(self) -> None:
        """Ends the processes that were started, or tells parameter servers and their workers that the run is over."""
        if self._started is not None:
            self._started.close()
        elif self._has_servers:
            dismiss(self.cluster)

    def _wait_for_answers(self) -> None:
        """Polls the others until all answer. It has no timeout: signals and the watchdog can end the process."""
        for peers, _ in self.required_peers():
            while not peers.poll():
                self.check()
                time.sleep(_POLL_SECONDS)
            self.check()

    def _connect(self, devices: Sequence[str]) -> tf.distribute.Strategy | None:
        """Makes the strategy in a thread, since TensorFlow would try for ever to connect to a process that has ended.

        It has no timeout, as `_wait_for_answers`.
        """
        made: Future[tf.distribute.Strategy | None] = Future()

        def make() -> None:
            try:
                made.set_result(make_strategy(self._config, self.cluster, devices))
            except BaseException as error:
                made.set_exception(error)

        Thread(target=make, name="connecting", daemon=True).start()
        while not wait([made], _POLL_SECONDS).done:
            self.check()
        return made.result()  # no limit: it is there

    def _addresses(self, *jobs: str) -> dict[str, str]:
        """The addresses of the other processes in these jobs, by name."""
        others = self.cluster.others.items()
        return {name: self.cluster.jobs[job][index] for name, (job, index) in others if job in jobs}

    def _abort(self, name: str) -> None:
        abort_collectives(*self.cluster.others[name])

    def _ended(self) -> list[str]:
        return [] if self._started is None else self._started.ended()

    def _in_words(self) -> str:
        if self._started is not None:
            return f"started {', '.join(self._started.pids)} (logs: {self._started.logs})"
        awaited = (f"{name} at {address}" for name, address in self._addresses(*self.cluster.jobs).items())
        return f"waiting for {', '.join(awaited)}"
