"""Disks that are full, for real."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str = "8m") -> Iterator[Path]:
    """A file system of that size, as `mount` has it, in `folder`; skips the test where none can be made."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tfdqn-test", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        # Lazily, for another process may look at this place just now, or be about to end.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path, but_bytes: int = 0) -> None:
    """Takes all the room that there is, but for so much."""
    with (disk / "filler").open("ab", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            pass
        filler.truncate(filler.tell() - but_bytes)
