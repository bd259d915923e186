"""The cores and GPUs that this process may use. `deal` gives GPUs to processes, no two the same if there are enough."""

import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TypeVar

from tfdqn.errors import ConfigError, counted
from tfdqn.system.subprocesses import run_captured

VISIBLE = "CUDA_VISIBLE_DEVICES"
NONE_VISIBLE = {VISIBLE: ""}
_CGROUP = Path("/sys/fs/cgroup")  # this process's own in a container with its own cgroup namespace
_LIST_SECONDS = 30.0
_NAME = re.compile("[0-9]|GPU-|MIG-")  # how the name of a GPU begins
_UUID = r"\(UUID: ((?:GPU|MIG)-[^)]+)\)"
# For processes that share a GPU, even if the user has set another value.
_GROWING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}

Process = TypeVar("Process")


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


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The GPUs that this process may use, as named in `CUDA_VISIBLE_DEVICES`; if unset, all that the driver lists.

    A GPU in MIG mode is replaced by its instances. CUDA gives a process only one of them, by default always the first.
    """
    if VISIBLE in environment:
        named = (each.strip() for each in environment[VISIBLE].split(","))
        return tuple(takewhile(_NAME.match, named))  # as CUDA reads them: up to the first that is none
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    return () if program is None else _of_driver(program)


@cache
def _of_driver(program: str) -> tuple[str, ...]:
    """The GPUs that the driver's `program` lists, which may take seconds; none if it fails."""
    try:
        done = run_captured([program, "--list-gpus"], _LIST_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return _listed(done.stdout)


def _listed(lines: str) -> tuple[str, ...]:
    """The names in the output of `nvidia-smi --list-gpus`: a line for each GPU, followed by its instances'."""
    names = re.findall(_UUID, lines)
    has_instances = {gpu for gpu, below in pairwise(names) if gpu.startswith("GPU-") and below.startswith("MIG-")}
    return tuple(name for name in names if name not in has_instances)


def deal(
    computing: Sequence[Process], gpus: tuple[str, ...], say: Callable[[str], None], *, all_reduce: str = "auto"
) -> dict[Process, dict[str, str]]:
    """The environment variables that give each process that computes gradients the same number of GPUs of its own.

    If there are fewer GPUs than such processes, they share: each sees one GPU, and takes its memory as it needs it.

    Args:
      gpus: of this host.
      say: shows one line to the user, if GPUs are shared or left over.
      all_reduce: `learner.all_reduce`.

    Raises ConfigError if NCCL is asked for and processes would have to share a GPU, which NCCL refuses.
    """
    if not gpus or len(computing) < 2:
        return {}
    share, left = divmod(len(gpus), len(computing))
    said = f"{len(computing)} processes compute gradients on this host's {counted(len(gpus), 'GPU')}"
    if not share and all_reduce == "nccl":
        raise ConfigError(f'learner.all_reduce = "nccl": {said}, and NCCL allows one process on each; use "ring"')
    if not share:
        say(f"{said}: they share {'it' if len(gpus) == 1 else 'them'}")
    elif left:
        say(f"{said}: {share} each, {left} left over")
    return dict(zip(computing, gpu_shares(gpus, len(computing)), strict=True))


def gpu_shares(gpus: tuple[str, ...], count: int) -> list[dict[str, str]]:
    """The environment variables that give each of `count` processes the same number of GPUs, or one to share."""
    if not gpus or count == 1:
        return [{} for _ in range(count)]
    share = len(gpus) // count
    dealt = [gpus[i * share : (i + 1) * share] if share else (gpus[i % len(gpus)],) for i in range(count)]
    return [{VISIBLE: ",".join(own), **({} if share else _GROWING)} for own in dealt]
