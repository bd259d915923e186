"""`available_cores`: the number of processor cores that this process can use."""

import math
import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")  # this process's own in a container with its own cgroup namespace


def available_cores(cgroup: Path = _CGROUP) -> int:
    """The number of cores that this process may run on, or that its container's CPU quota amounts to if that is lower.

    Args:
      cgroup: the folder of the control group (version 2).
    """
    cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text(encoding="utf-8").split()
        if quota != "max":
            return max(1, min(cores, math.ceil(int(quota) / int(period))))
    return cores
