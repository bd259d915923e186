"""`Chief`: makes the updater of a run, with which the other processes of its cluster learn."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import msgspec

from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.learning.strategies.distribution import make_strategy
from tfdqn.learning.strategies.factory import make_updater
from tfdqn.learning.strategies.lockstep import Broadcast, Handshake, LockstepUpdater
from tfdqn.learning.strategies.model_parallel import ModelParallelUpdater
from tfdqn.learning.strategies.other_processes import OtherProcesses
from tfdqn.learning.updater import Updater
from tfdqn.replay.interfaces import SampledReplay, SampleSource
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.sampling import ReverbSource
from tfdqn.replay.rollout import Rollout
from tfdqn.task_spec import TaskSpec


class Chief:
    """The chief's side of a strategy. When it is made, it waits until all processes have met.

    To be made before TensorFlow is used otherwise, because its devices and collectives are then fixed.

    Args:
      devices: this process's.
      say: shows one line to the user.
      others: the processes that learn with this one; None: it learns alone.
    """

    def __init__(
        self, config: Config, devices: Sequence[str], say: Callable[[str], None], others: OtherProcesses | None = None
    ):
        self._config, self._devices, self._say, self._others = config, devices, say, others
        self._cluster = None if others is None else others.cluster
        self._strategy = make_strategy(config, None, devices) if others is None else others.meet(devices, say)

    def make_updater(self, task_spec: TaskSpec, replay: SampledReplay) -> Updater:
        """The updater. Processes in lockstep are first told what they need to make their own, which then follow it."""
        config, source = self._config, self._source(task_spec, replay)
        broadcast: Broadcast | None = None
        if self._cluster is not None and config.learner.strategy != "parameter_server":
            broadcast = Broadcast(self._strategy)
            addresses = replay.addresses_at(self._cluster.chief_host)
            broadcast.content(msgspec.json.encode(Handshake(task_spec, addresses, dump(config))))
        updater = make_updater(config, task_spec, self._strategy, self._cluster, self._devices, source)
        if isinstance(updater, ModelParallelUpdater):
            held = (f"{device} {size / 1e6:.1f} MB" for device, size in updater.bytes_by_device().items())
            self._say(f"weights, target and optimizer are on {', '.join(held)}")
        if broadcast is None:
            return updater
        return LockstepUpdater(updater, broadcast, replay if isinstance(replay, Rollout) else None)

    def _source(self, task_spec: TaskSpec, replay: SampledReplay) -> SampleSource:
        """What the updater samples."""
        config = self._config
        if config.learner.strategy == "parameter_server":
            assert self._cluster is not None
            addresses = replay.addresses_at(self._cluster.chief_host)  # for the workers
        elif config.ensemble.in_processes:
            addresses = replay.addresses[:1]  # the first member's
        elif config.learner.prefetch_to_device:
            addresses = replay.addresses
        else:
            return replay
        return ReverbSource(addresses, make_item_kind(config, task_spec), config.priorities)

    def lost_peers_as_cluster_error(self) -> AbstractContextManager[None]:
        """As `OtherProcesses.lost_as_cluster_error`."""
        return nullcontext() if self._others is None else self._others.lost_as_cluster_error()

    def check(self) -> None:
        """Raises ClusterError if a process that was started for the run has ended."""
        if self._others is not None:
            self._others.check()

    def close(self) -> None:
        """Ends the other processes, or tells them that the run is over."""
        if self._others is not None:
            self._others.close()
