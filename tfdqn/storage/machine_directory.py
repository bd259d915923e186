"""`MachineDir`: one machine's own files in a run directory that several machines share."""

from contextlib import AbstractContextManager
from pathlib import Path

from tfdqn.storage.locks import FileLock, locked


class MachineDir:
    """The paths of one machine's own files in a run directory that several machines may share."""

    def __init__(self, path: Path):
        self.path = path
        self.lock_file = path / "lock"
        self.process_logs = path
        self.heartbeats = path / "beats"
        self.config_file = path / "config.toml"  # the job's configuration, for this machine's processes
        self.cluster_file = path / "cluster.json"

    def claim(self) -> AbstractContextManager[FileLock]:
        """Claims the directory for this process until the block ends. Raises RunDirError if another process has it."""
        return locked(self.lock_file, self.path)
