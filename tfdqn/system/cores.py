"""How many processor cores there are to use."""

import math
import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")  # of this process, in a container with a namespace of its own


def available_cores(cgroup: Path = _CGROUP) -> int:
    """Those that this process may run on, or fewer where its container is granted the time of fewer.

    Args:
      cgroup: the folder in which the kernel says what is granted (control groups, version 2).
    """
    cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text(encoding="utf-8").split()
        if quota != "max":
            return max(1, min(cores, math.ceil(int(quota) / int(period))))
    return cores
