"""`Chief`: sets up, in the chief, the devices and processes among which a run's updates are divided."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TypeVar

import msgspec
import tensorflow as tf

# A coordinator's errors are not part of the public API.
from tensorflow.python.distribute.coordinator.cluster_coordinator import ClosureAbortedError, ClosureInputError

from tfdqn.cluster.local_workers import TRAIN, LocalWorkers, Shares
from tfdqn.cluster.tf_config import CHIEF, PARAMETER_SERVER, WORKER, Cluster, tensorflow_jobs
from tfdqn.cluster.tf_errors import in_one_line
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.coordination.peers import Peers
from tfdqn.errors import ClusterError
from tfdqn.learning.strategies.distribution import abort_collectives, dismiss, make_strategy
from tfdqn.learning.strategies.factory import SamplerFactory, make_updater
from tfdqn.learning.strategies.lockstep import Broadcast, Handshake, LockstepUpdater
from tfdqn.learning.strategies.model_parallel import ModelParallelUpdater
from tfdqn.learning.updater import Updater
from tfdqn.replay.interfaces import SampledReplay, Sampler
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.sampling import make_sampler, sample_dataset
from tfdqn.replay.rollout import Rollout
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.fork_server import ForkServer
from tfdqn.system.signals import ended_by_signals, heard_signal
from tfdqn.task_spec import TaskSpec

T = TypeVar("T")
_POLL_SECONDS = 0.2
_UNTIL_ALL_HAVE_MET = "until all processes have met, Ctrl-C ends this one at once, and nothing is lost"
_SECONDS_TO_BE_SEEN_DEAD = 0.5  # a connection breaks before the system reports that the process has ended


class Chief:
    """The chief's side of a strategy.

    To be made before TensorFlow is used otherwise, because its devices and collectives are then fixed.

    Args:
      run_dir: the claimed run directory; processes on this host are started with its configuration.
      cluster: the result of `cluster_for`, whose chief is this process; None: other processes that the strategy needs
        are started on this host.
      say: shows one line to the user.
      awaits: is called, before a wait, with the processes that are waited for, and what ends the wait.
      gpus: the shares of the processes that are started.
      server: forks these, and ends; None: each is started by itself.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        cluster: Cluster | None,
        devices: Sequence[str],
        say: Callable[[str], None],
        interrupted: Callable[[], bool] = lambda: False,
        awaits: Callable[[Peers, str], None] = lambda peers, answer: None,
        gpus: Shares | None = None,
        server: ForkServer | None = None,
    ):
        self._config, self._devices, self._say = config, devices, say
        self._processes, self._cluster = None, cluster
        if cluster is not None:
            say(f"waiting for {_others(cluster)}; {_UNTIL_ALL_HAVE_MET}")
        elif (started := _start_processes(config, run_dir, gpus, server, interrupted)) is not None:
            self._processes, self._cluster = started, started.cluster
            say(f"started {', '.join(started.pids)} (logs: {run_dir.process_logs}); {_UNTIL_ALL_HAVE_MET}")
        if self._cluster is None:
            self._strategy = self._make_strategy()
            return
        tf.get_logger().setLevel("CRITICAL")  # it would report a lost process in fifty lines; we do in one
        try:
            for peers, answer in _peers(config, self._cluster, self._ended):
                awaits(peers, answer)
            self._strategy = self._meet(self._cluster, interrupted)
        except BaseException:
            if self._processes is not None:
                self._processes.close()
            raise

    def _meet(self, cluster: Cluster, interrupted: Callable[[], bool]) -> tf.distribute.Strategy | None:
        """Waits for the other processes of the cluster. Meanwhile a signal ends this process."""
        if interrupted() and heard_signal():
            self._say("stopped before all processes had met: nothing has been learned since the start")
        with ended_by_signals():
            if self._config.learner.strategy == "parameter_server":
                _wait_for(_peers(self._config, cluster, self._ended), self.check)
                # TensorFlow would try for ever to connect to a process that has ended since.
                return _checked_meanwhile(self._make_strategy, self.check)
            return self._make_strategy()

    def _make_strategy(self) -> tf.distribute.Strategy | None:
        with self.lost_peers_as_cluster_error():
            return make_strategy(self._config, self._cluster, self._devices)

    def make_updater(self, task_spec: TaskSpec, replay: SampledReplay) -> Updater:
        """The chief's updater, which the other processes follow."""
        addresses = [] if self._cluster is None else replay.addresses_at(self._cluster.chief_host)
        broadcast = Broadcast(self._strategy) if self._has_followers else None
        if broadcast is not None:
            broadcast.content(msgspec.json.encode(Handshake(task_spec, addresses, dump(self._config))))
        updater = make_updater(
            self._config,
            task_spec,
            self._strategy,
            self._cluster,
            self._devices,
            sampler=self._sampler(task_spec, replay),
            make_dataset=lambda size: sample_dataset(
                addresses, make_item_kind(self._config, task_spec), size, self._config.priorities
            ),
        )
        if isinstance(updater, ModelParallelUpdater):
            held = (f"{device} {size / 1e6:.1f} MB" for device, size in updater.bytes_by_device().items())
            self._say(f"weights, target and optimizer are on {', '.join(held)}")
        if broadcast is None:
            return updater
        return LockstepUpdater(updater, broadcast, replay if isinstance(replay, Rollout) else None)

    def _sampler(self, task_spec: TaskSpec, replay: SampledReplay) -> SamplerFactory:
        """Makes samplers of the replay that this process learns from."""
        is_member = self._config.ensemble.in_processes
        own = replay.addresses[:1] if is_member else replay.addresses

        def sampler(num_transitions: int, device: str | None = None) -> Sampler:
            if device is None and not is_member:
                return replay.sampler(num_transitions)
            kind = make_item_kind(self._config, task_spec)
            return make_sampler(own, kind, num_transitions, self._config.priorities, device)

        return sampler

    @contextmanager
    def lost_peers_as_cluster_error(self) -> Iterator[None]:
        """Turns TensorFlow's long errors about lost processes into a ClusterError of one line that names the process.

        Other errors are raised unchanged.
        """
        try:
            yield
        except (tf.errors.OpError, ClosureInputError, ClosureAbortedError) as error:
            if self._cluster is None:
                raise
            time.sleep(_SECONDS_TO_BE_SEEN_DEAD)
            self.check()
            if (line := in_one_line(error, self._cluster, "the cluster")) is None:
                raise
            raise ClusterError(line) from error

    def check(self) -> None:
        """Raises ClusterError if a process that it has started has ended."""
        if self._processes is not None:
            self._processes.check()

    def _ended(self) -> list[str]:
        """The names of the processes that it has started and that have ended."""
        return [] if self._processes is None else self._processes.ended()

    def close(self) -> None:
        """Ends the processes that were started for the run, or tells those of `TF_CONFIG` that it has finished."""
        if self._processes is not None:
            self._processes.close()
        elif isinstance(self._strategy, tf.distribute.ParameterServerStrategy):
            assert self._cluster is not None
            dismiss(self._cluster)

    @property
    def _has_followers(self) -> bool:
        follow = self._config.learner.strategy in ("multi_worker", "averaging")
        return self._cluster is not None and (follow or self._config.ensemble.in_processes)


def _start_processes(
    config: Config, run_dir: RunDir, gpus: Shares | None, server: ForkServer | None, interrupted: Callable[[], bool]
) -> LocalWorkers | None:
    """Starts the processes that the strategy needs besides this one; None if it needs none."""
    command = [*TRAIN, str(Path(run_dir.config_file).resolve())]
    if not (jobs := tensorflow_jobs(config)):
        return None
    if server is None:
        return LocalWorkers(jobs, command, run_dir.process_logs, gpus)
    with server:
        server.prepare(command, interrupted)
        return LocalWorkers(jobs, command, run_dir.process_logs, gpus, server.start)


def _peers(config: Config, cluster: Cluster, ended: Callable[[], list[str]]) -> list[tuple[Peers, str]]:
    """The processes that the chief needs, with what it waits for: all parameter servers and workers, or all workers."""

    def addresses(*jobs: str) -> dict[str, str]:
        return {name: cluster.addresses(job)[index] for name, (job, index) in cluster.others.items() if job in jobs}

    def abort(name: str) -> None:
        abort_collectives(*cluster.others[name])

    if config.learner.strategy == "parameter_server":
        return [
            (Peers(addresses(PARAMETER_SERVER)), "all parameter servers answer"),
            (Peers(addresses(WORKER), may_end=True), "all workers answer"),
        ]
    return [(Peers(addresses(CHIEF, WORKER), on_end=abort, known_ended=ended), "all workers answer")]


def _wait_for(others: list[tuple[Peers, str]], check: Callable[[], None]) -> None:
    """Waits until all processes answer. It has no timeout, since signals and the watchdog can end the process.

    `check` is called after each question; an error that it raises ends the wait.
    """
    for peers, _ in others:
        while not peers.poll():
            check()
            time.sleep(_POLL_SECONDS)
        check()


def _checked_meanwhile(call: Callable[[], T], check: Callable[[], None]) -> T:
    """Returns what `call` returns in a thread of its own. An error that `check` raises meanwhile ends the wait for it.

    It has no timeout, for the reasons of `_wait_for`.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    Thread(target=run, name="connecting", daemon=True).start()
    while not wait([result], _POLL_SECONDS).done:
        check()
    return result.result()  # no limit: it is there


def _others(cluster: Cluster) -> str:
    return ", ".join(f"{name} at {cluster.addresses(job)[index]}" for name, (job, index) in cluster.others.items())
