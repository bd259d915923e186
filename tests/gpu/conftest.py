"""Tests that need a GPU: `make test-gpu`. With `GPU_STAND_IN=1` parts of the CPU stand for GPUs, and a program for
`nvidia-smi`: so all lines run, and say nothing of a GPU.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tfdqn.system.processors import visible_gpus

IS_STAND_IN = os.environ.get("GPU_STAND_IN") == "1"
_MEMORY = ("--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits")
# In use, and in all, in MiB.
_STAND_IN = "#!/bin/sh\necho '500, 81559'\n"


class GPUs(NamedTuple):
    """Those of this machine, or what stands for them."""

    count: int
    parity: str  # which devices a case of parity takes
    overrides: tuple[str, ...]  # of a run's configuration
    nvidia_smi: str

    def memory_mib(self) -> list[tuple[int, int]]:
        """(in use, in all) of each."""
        done = subprocess.run((self.nvidia_smi, *_MEMORY), capture_output=True, text=True, check=True, timeout=60)
        return [(int(used), int(total)) for used, total in (line.split(",") for line in done.stdout.splitlines())]


def pytest_runtest_setup() -> None:
    if not IS_STAND_IN and not visible_gpus():
        pytest.skip("no GPU: nvidia-smi lists none (GPU_STAND_IN=1 runs these tests on the CPU)")


@pytest.fixture(scope="session")
def gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GPUs]:
    """Says what `nvidia-smi` says before and after all tests."""
    if IS_STAND_IN:
        program = tmp_path_factory.mktemp("bin") / "nvidia-smi"
        program.write_text(_STAND_IN)
        program.chmod(0o755)
        found = GPUs(2, "parts", (), str(program))
    else:
        found = GPUs(len(visible_gpus()), "gpus", ("learner.min_gpus=1",), shutil.which("nvidia-smi") or "nvidia-smi")
    before = found.memory_mib()
    yield found
    after = found.memory_mib()
    print(f"\nnvidia-smi, MiB in use of all: {before} before, {after} after")
    left = [late - early for (early, _), (late, _) in zip(before, after, strict=True)]
    assert max(left) <= 500, f"MiB that are left in use: {left}"
