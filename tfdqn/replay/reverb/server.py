"""`transitions_table`: makes the Reverb table of transitions. `ReplayServer`: serves one from this process."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import reverb
import tensorflow as tf
from reverb import selectors
from reverb.errors import ReverbError
from reverb.platform.default import checkpointers
from reverb.reverb_types import TableInfo

from tfdqn.config import Priorities
from tfdqn.errors import CheckpointError, ClusterError, ConfigError, first_line
from tfdqn.system.addresses import LOOPBACK, with_host
from tfdqn.system.concurrent_calls import run_at_once

TABLE = "transitions"
_NEVER_HOLDS_SAMPLERS = -1e15
CONTENT_FOLDER = "reverb"
_SIZES_FILE = "sizes.json"  # to check completeness: Reverb restores an empty table if a checkpoint lacks a file
_STOP_SECONDS = 5.0
_REPLY_SECONDS = 60
_START_SECONDS = 20


class ReplayServer:
    """A server of one table on a free port; clients in the same process bypass the network.

    The port is open on every interface, to anyone who can reach this machine, without authentication or
    encryption: dm-reverb 0.14 hard-codes "[::]:port" in its C++ server and can't bind to loopback only.
    Only a firewall or a private network keeps others out.

    Reverb keeps only its newest checkpoint, in its working folder. `save` therefore hard-links each one into a
    directory of the caller, which copies nothing on the same file system.
    """

    def __init__(self, make_table: Callable[[], reverb.Table], workspace: Path | None):
        """`workspace` is an existing folder for Reverb's working files; None: the system's temporary folder."""
        self._make_table = make_table
        self._num_items = 0  # in the server's last answer
        self._folder = tempfile.TemporaryDirectory(prefix="reverb-", dir=workspace, ignore_cleanup_errors=True)
        self._start(None)

    @property
    def address(self) -> str:
        """The address for clients on this host; in this process Reverb then bypasses the network."""
        return self.address_at(LOOPBACK)

    def address_at(self, host: str) -> str:
        """The address for clients that reach this host by the name `host`."""
        return with_host(self._server.port, host)

    def num_items(self) -> int:
        """The number of items in the table now."""
        if self._num_items < self._max_items:  # asking takes 0.4 ms, and a full table stays full
            self._num_items = int(self._info().current_size)
        return self._num_items

    def save(self, directory: Path) -> None:
        """Writes a checkpoint into `directory`, which must exist. Raises CheckpointError."""
        target = directory / CONTENT_FOLDER
        try:
            made = Path(self.client.checkpoint())
            target.mkdir()
            for file in made.iterdir():
                _link(file, target / file.name)
            (target / _SIZES_FILE).write_bytes(msgspec.json.encode(_sizes(target)))
        except (OSError, RuntimeError, IndexError) as error:  # Reverb raises IndexError if the disk is full
            raise CheckpointError(f"{target} can't be written: {first_line(error)}") from error

    def restore(self, directory: Path) -> None:
        """Restarts the server, on another port, with what `save` wrote. Raises as `Replay.restore`."""
        source = directory / CONTENT_FOLDER
        _check_complete(source)
        stop(self._server)
        try:
            self._start(source)
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"{source} is damaged: {first_line(error)}") from error
        check_same_table(self._info(), self._make_table().info, source)

    def close(self) -> None:
        """Stops the server; if that takes longer than some seconds, leaves it running until the process ends."""
        stop(self._server)
        self._folder.cleanup()

    def _info(self) -> TableInfo:
        # Not from `reverb.Table.info`: a server that restores a checkpoint replaces the table.
        return self.client.server_info(timeout=_REPLY_SECONDS)[TABLE]

    def _start(self, checkpoint: Path | None) -> None:
        table = self._make_table()
        working_folder = tempfile.mkdtemp(dir=self._folder.name)
        self._server = reverb.Server(
            [table],
            checkpointer=checkpointers.DefaultCheckpointer(
                working_folder, fallback_checkpoint_path=str(checkpoint.absolute()) if checkpoint else None
            ),
        )
        self.client = reverb.Client(self.address)
        self._max_items = int(table.info.max_size)
        self._num_items = 0
        self._check_reached()

    def _check_reached(self) -> None:
        """Raises ClusterError if calls don't reach the server: samplers would wait for it forever."""
        try:
            self.client.server_info(timeout=_START_SECONDS)
        except (RuntimeError, ReverbError) as error:
            stop(self._server)
            raise ClusterError(
                f"the replay server at {self.address}, in this process, does not answer ({first_line(error)}): is the "
                "loopback interface up, and 127.0.0.1 in no_proxy where a proxy is set?"
            ) from error


def transitions_table(
    signature: dict[str, tf.TensorSpec],
    max_items: int,
    limiter: reverb.rate_limiters.RateLimiter,
    priorities: Priorities,
) -> reverb.Table:
    """Makes a table of `max_items` items, sampled uniformly or by priority, from which the oldest are removed first.

    Between processes a `pace_limiter` keeps the replay ratio; within one process `ReplayRatio` keeps it outside Reverb.
    """
    return reverb.Table(
        name=TABLE,
        sampler=selectors.Prioritized(priorities.exponent) if priorities.are_used else selectors.Uniform(),
        remover=selectors.Fifo(),
        max_size=max_items,
        rate_limiter=limiter,
        signature=signature,
    )


def pace_limiter(samples_per_insert: float, most_ahead: float) -> reverb.rate_limiters.RateLimiter:
    """Makes a rate limiter that blocks inserts while inserts · `samples_per_insert` - samples > `most_ahead`.

    It blocks sampling only while the table is empty: the learner computes by itself how many updates are due, and so a
    table that was restored with fewer items than before can't block both sides.
    """
    return reverb.rate_limiters.SampleToInsertRatio(samples_per_insert, 1, (_NEVER_HOLDS_SAMPLERS, most_ahead))


def check_same_table(stored: TableInfo, wanted: TableInfo, origin: object) -> None:
    """Raises ConfigError, which lists the differences, if a restored table isn't configured as `wanted`.

    Reverb configures the table as it was when the checkpoint was written.
    """
    old_limiter, new_limiter = stored.rate_limiter_info, wanted.rate_limiter_info
    differences = [
        f"{name} {before}, now {now}"
        for name, before, now in (
            ("capacity", stored.max_size, wanted.max_size),
            ("minimum size", int(old_limiter.min_size_to_sample), int(new_limiter.min_size_to_sample)),
            ("samples per insert", old_limiter.samples_per_insert, new_limiter.samples_per_insert),
            ("samples that inserting may be ahead", old_limiter.max_diff, new_limiter.max_diff),
            ("priorities' exponent", _exponent(stored), _exponent(wanted)),
            ("layout", _layout(stored), _layout(wanted)),
        )
        if before != now
    ]
    if differences:
        raise ConfigError(f"{origin} was made with another replay, in items: {'; '.join(differences)}")


def write_checkpoint(client: reverb.Client) -> str:
    """Makes a server write its checkpoint; returns why it could not, or an empty string."""
    try:
        client.checkpoint()
    except (RuntimeError, IndexError) as error:  # Reverb raises IndexError if the disk is full
        return first_line(error)
    return ""


def stop(server: reverb.Server) -> None:
    """Stops a server; if that takes longer than some seconds, leaves it running until the process ends."""
    run_at_once([server.stop], _STOP_SECONDS)


def _check_complete(folder: Path) -> None:
    try:
        sizes = msgspec.json.decode((folder / _SIZES_FILE).read_bytes(), type=dict[str, int])
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise CheckpointError(f"{folder} is missing or incomplete: {first_line(error)}") from error
    present = _sizes(folder)
    damaged = [name for name, size in sizes.items() if present.get(name) != size]
    if damaged:
        raise CheckpointError(f"{folder} is damaged: {', '.join(damaged)} is missing or cut short")


def _sizes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in folder.iterdir() if file.name != _SIZES_FILE}


def _link(source: Path, target: Path) -> None:
    """Makes a hard link, or a copy if the file system has no links or `target` is on another one."""
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)


def _exponent(info: TableInfo) -> float:
    """The exponent of a table's priorities; 0 if it is sampled uniformly."""
    return info.sampler_options.prioritized.priority_exponent


def _layout(info: TableInfo) -> str:
    columns = (info.signature or {}).items()
    return ", ".join(f"{name} {spec.dtype.name}{list(spec.shape)}" for name, spec in sorted(columns))
