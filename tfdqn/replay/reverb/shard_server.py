"""`ShardServer`: serves one replay server's table at a fixed address, and restores it when the process restarts."""

import contextlib
from functools import partial

import reverb
from reverb.errors import DeadlineExceededError
from reverb.platform.default import checkpointers
from reverb.reverb_types import TableInfo

from tfdqn.config import Config
from tfdqn.errors import CheckpointError, ClusterError, first_line
from tfdqn.replay.items.kinds import make_item_kind, table_sizes
from tfdqn.replay.reverb.server import TABLE, check_same_table, pace_limiter, stop, transitions_table, write_checkpoint
from tfdqn.replay.reverb.shards import DistributedReplayRatio
from tfdqn.storage.replay_directory import ShardDir
from tfdqn.system.addresses import LOOPBACK, host_and_port, require_free_port, with_host
from tfdqn.system.concurrent_calls import run_at_once
from tfdqn.task_spec import TaskSpec

_REPLY_SECONDS = 5
_CHECKPOINT_SECONDS = 60.0


class ShardServer:
    """A Reverb server on every interface; any process that has its address can write, sample and checkpoint.

    A checkpoint that can't be read is put aside, and `damage` says so. Only the port of `address`, "host:port", is
    used. In the opened `folder` checkpoints are written, and the newest one is restored from it.

    Raises ClusterError if the port is in use, ConfigError for a checkpoint of a table that was configured differently.
    """

    def __init__(self, config: Config, task_spec: TaskSpec, address: str, folder: ShardDir):
        self._kind = make_item_kind(config, task_spec)
        self._priorities = config.priorities
        self._max_items = table_sizes(config, self._kind).max_items
        self._limits = DistributedReplayRatio(config, self._kind).limits()
        self._port = host_and_port(address)[1]
        self._folder = folder
        self.damage = ""
        self._num_items = 0
        require_free_port(address)
        checkpoint = folder.checkpoint()
        try:
            self._server = self._serve()
        except (RuntimeError, ValueError) as error:
            if checkpoint is None:
                raise ClusterError(f"{address} can't be served: {first_line(error)}") from None
            self.damage = f"{folder.put_aside(checkpoint)} is damaged: {first_line(error)}"
            checkpoint = None
            self._server = self._serve()
        self._client = reverb.Client(with_host(self._port, LOOPBACK))
        if checkpoint is not None:
            try:
                check_same_table(self._info(), self._table().info, checkpoint)
            except BaseException:
                self.close()
                raise

    def size(self) -> int:
        """The number of transitions stored now, in whole items; its last value while a checkpoint blocks the table."""
        with contextlib.suppress(DeadlineExceededError):
            self._num_items = int(self._info().current_size)
        return self._num_items * self._kind.transitions_per_item

    def checkpoint(self) -> None:
        """Writes a checkpoint, which replaces the previous one. Raises CheckpointError."""
        if not self._folder.path.exists():  # Reverb would make it again
            raise CheckpointError(f"{self._folder.path} is gone: it was moved or removed while this process used it")
        (problem,) = run_at_once([partial(write_checkpoint, self._client)], _CHECKPOINT_SECONDS)
        if problem != "":
            why = "has not been written in time" if problem is None else f"can't be written: {problem}"
            raise CheckpointError(f"the checkpoint in {self._folder.checkpoints} {why}")

    def close(self) -> None:
        """Stops serving, within seconds."""
        stop(self._server)

    def _serve(self) -> reverb.Server:
        checkpointer = checkpointers.DefaultCheckpointer(str(self._folder.checkpoints.absolute()))
        return reverb.Server([self._table()], port=self._port, checkpointer=checkpointer)

    def _table(self) -> reverb.Table:
        limiter = reverb.rate_limiters.MinSize(1) if self._limits is None else pace_limiter(*self._limits)
        return transitions_table(self._kind.signature, self._max_items, limiter, self._priorities)

    def _info(self) -> TableInfo:
        return self._client.server_info(timeout=_REPLY_SECONDS)[TABLE]
