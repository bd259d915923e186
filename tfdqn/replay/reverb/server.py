"""The Reverb table of transitions, and `ReplayServer`: one in this process, whose checkpoints survive the next."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import reverb
import tensorflow as tf
from reverb import selectors
from reverb.errors import ReverbError
from reverb.platform.default import checkpointers

from tfdqn.config import Priorities
from tfdqn.errors import CheckpointError, ClusterError, ConfigError, first_line
from tfdqn.system.addresses import LOOPBACK, with_host

TABLE = "transitions"
_UNIFORM = Priorities()
_NEVER_HOLDS_SAMPLERS = -1e15
CONTENT_FOLDER = "reverb"
_SIZES_FILE = "sizes.json"  # Reverb takes a checkpoint that lacks a file for an empty one
_STOP_SECONDS = 5.0
_REPLY_SECONDS = 60
_START_SECONDS = 20


class ReplayServer:
    """One table, served on a free port; in this process its clients skip the network.

    The port is open on every interface, to anyone who can reach this machine, without authentication or
    encryption: dm-reverb 0.14 writes "[::]:port" into its C++ server and gives no way to bind to loopback.
    Only a firewall or a private network keeps others out.

    Reverb keeps only its newest checkpoint, in the folder that it works in. `save` therefore links each into
    a directory of the caller's: on the same file system that copies nothing.
    """

    def __init__(self, make_table: Callable[[], reverb.Table], workspace: Path | None = None):
        """`workspace` is an existing folder for Reverb's own files; None: the system's temporary one."""
        self._make_table = make_table
        self._num_items = 0  # when last asked
        self._folder = tempfile.TemporaryDirectory(prefix="reverb-", dir=workspace, ignore_cleanup_errors=True)
        self._start(None)

    @property
    def address(self) -> str:
        """What clients connect to; inside this process Reverb then skips the network."""
        return self.address_at(LOOPBACK)

    def address_at(self, host: str) -> str:
        """What clients connect to that reach this process's host by that name."""
        return with_host(self._server.port, host)

    @property
    def client(self) -> reverb.Client:
        """A client of this server."""
        return self._client

    def num_items(self) -> int:
        """Items in the table now."""
        if self._num_items < self._max_items:  # asking costs 0.4 ms, and a full table stays full
            self._num_items = int(self._info().current_size)
        return self._num_items

    def save(self, directory: Path) -> None:
        """Checkpoints into `directory`, which must exist. Raises CheckpointError."""
        target = directory / CONTENT_FOLDER
        try:
            made = Path(self._client.checkpoint())
            target.mkdir()
            for file in made.iterdir():
                _link(file, target / file.name)
            (target / _SIZES_FILE).write_bytes(msgspec.json.encode(_sizes(target)))
        except (OSError, RuntimeError, IndexError) as error:  # Reverb's word for a full disk is IndexError
            raise CheckpointError(f"{target} can't be written: {first_line(error)}") from error

    def restore(self, directory: Path) -> None:
        """Serves what `save` wrote, on another port. Raises CheckpointError, or ConfigError on a mismatch."""
        source = directory / CONTENT_FOLDER
        _check_complete(source)
        self._stop()
        try:
            self._start(source)
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"{source} is damaged: {first_line(error)}") from error
        check_same_table(self._info(), self._make_table().info, source)

    def close(self) -> None:
        """Stops the server, or leaves it to the end of the process where it doesn't within seconds."""
        self._stop()
        self._folder.cleanup()

    def _info(self) -> reverb.TableInfo:
        # Not the table's own `info`: a server that restores a checkpoint makes itself another table.
        return self._client.server_info(timeout=_REPLY_SECONDS)[TABLE]

    def _start(self, checkpoint: Path | None) -> None:
        table = self._make_table()
        working_folder = tempfile.mkdtemp(dir=self._folder.name)
        self._server = reverb.Server(
            [table],
            checkpointer=checkpointers.DefaultCheckpointer(
                working_folder, fallback_checkpoint_path=str(checkpoint.absolute()) if checkpoint else None
            ),
        )
        self._client = reverb.Client(self.address)
        self._max_items = int(table.info.max_size)
        self._num_items = 0
        self._check_reached()

    def _check_reached(self) -> None:
        """Checks that calls reach the server; otherwise samplers would wait for it for ever."""
        try:
            self._client.server_info(timeout=_START_SECONDS)
        except (RuntimeError, ReverbError) as error:
            self._stop()
            raise ClusterError(
                f"the replay server at {self.address}, in this process, does not answer ({first_line(error)}): is the "
                "loopback interface up, and 127.0.0.1 in no_proxy where a proxy is set?"
            ) from error

    def _stop(self) -> None:
        stop(self._server)


def transitions_table(
    signature: dict[str, tf.TensorSpec],
    max_items: int,
    limiter: reverb.rate_limiters.RateLimiter,
    priorities: Priorities = _UNIFORM,
) -> reverb.Table:
    """A table of `max_items` items, sampled uniformly or by their priorities, the oldest removed first.

    Inside one process the replay ratio is kept outside Reverb; between processes `pace_limiter` keeps it.
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
    """Holds inserting back while inserts · `samples_per_insert` - samples > `most_ahead`.

    Sampling is never held back but by an empty table: the learner knows by itself how many updates are due, and a
    table that came back with fewer items than before can't stop both sides.
    """
    return reverb.rate_limiters.SampleToInsertRatio(samples_per_insert, 1, (_NEVER_HOLDS_SAMPLERS, most_ahead))


def check_same_table(stored: reverb.TableInfo, wanted: reverb.TableInfo, origin: object) -> None:
    """A restored checkpoint overrides the table's configuration: raises ConfigError where it differs."""
    before, now = stored.rate_limiter_info, wanted.rate_limiter_info
    differences = [
        f"{name} {before}, now {now}"
        for name, before, now in (
            ("capacity", stored.max_size, wanted.max_size),
            ("minimum size", int(before.min_size_to_sample), int(now.min_size_to_sample)),
            ("samples per insert", before.samples_per_insert, now.samples_per_insert),
            ("samples that inserting may be ahead", before.max_diff, now.max_diff),
            ("priorities' exponent", _exponent(stored), _exponent(wanted)),
            ("layout", _layout(stored), _layout(wanted)),
        )
        if before != now
    ]
    if differences:
        raise ConfigError(f"{origin} was made with another replay, in items: {'; '.join(differences)}")


def stop(server: reverb.Server) -> None:
    """Stops a server, or leaves it to the end of the process if that takes more than seconds."""
    run_at_once([server.stop], _STOP_SECONDS)


def run_at_once(functions: Sequence[Callable[[], object]], timeout_seconds: float) -> None:
    """Calls all functions at the same time; those that don't return in time go on in the background."""
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    deadline = time.monotonic() + timeout_seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))


def _check_complete(folder: Path) -> None:
    try:
        sizes = msgspec.json.decode((folder / _SIZES_FILE).read_bytes(), type=dict[str, int])
    except (OSError, msgspec.MsgspecError) as error:
        raise CheckpointError(f"{folder} is missing or incomplete: {first_line(error)}") from error
    present = _sizes(folder)
    damaged = [name for name, size in sizes.items() if present.get(name) != size]
    if damaged:
        raise CheckpointError(f"{folder} is damaged: {', '.join(damaged)} is missing or cut short")


def _sizes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in folder.iterdir() if file.name != _SIZES_FILE}


def _link(source: Path, target: Path) -> None:
    """Makes a hard link, or a copy if the file system has no links or is another one."""
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)


def _exponent(info: reverb.TableInfo) -> float:
    """0: sampling is uniform."""
    return info.sampler_options.prioritized.priority_exponent


def _layout(info: reverb.TableInfo) -> str:
    columns = (info.signature or {}).items()
    return ", ".join(f"{name} {spec.dtype.name}{list(spec.shape)}" for name, spec in sorted(columns))
