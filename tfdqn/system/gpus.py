"""The GPUs of this host, dealt out to processes: no two take one's memory where there are enough."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, takewhile
from typing import TypeVar

from tfdqn.errors import ConfigError

VISIBLE = "CUDA_VISIBLE_DEVICES"
NONE_VISIBLE = {VISIBLE: ""}
_LIST_SECONDS = 30.0
_UUID = r"\(UUID: ((?:GPU|MIG)-[^)]+)\)"
# Where several share a GPU, whatever else the user says.
_GROWING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}

Process = TypeVar("Process")


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names for `CUDA_VISIBLE_DEVICES`: those that it has already, or else of all that NVIDIA's driver lists.

    Of a GPU in MIG mode these are its instances: CUDA gives a process one of them, and would give each the first.
    """
    if VISIBLE in environment:
        named = (each.strip() for each in environment[VISIBLE].split(","))
        return tuple(takewhile(lambda each: each not in ("", "-1"), named))  # as CUDA reads them
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return ()
    try:
        done = subprocess.run(
            (program, "--list-gpus"),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_LIST_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return _listed(done.stdout)


def _listed(lines: str) -> tuple[str, ...]:
    """Of what `nvidia-smi --list-gpus` prints: a line for each GPU, and below it one for each of its instances."""
    names = re.findall(_UUID, lines)
    has_instances = {gpu for gpu, below in pairwise(names) if gpu.startswith("GPU-") and below.startswith("MIG-")}
    return tuple(name for name in names if name not in has_instances)


def deal(
    computing: Sequence[Process], gpus: tuple[str, ...], say: Callable[[str], None], *, all_reduce: str = "auto"
) -> dict[Process, dict[str, str]]:
    """The variables of each process that computes gradients, by which it has as many GPUs of its own as the others.

    Where there are fewer GPUs than such processes, they share them: each has one, and takes its memory as it needs it.

    Args:
      gpus: of this host.
      say: shows one line to the user, where some share or some are left over.
      all_reduce: `learner.all_reduce`.

    Raises ConfigError where NCCL is asked for and some would have to share, which it refuses.
    """
    if not gpus or len(computing) < 2:
        return {}
    share, left = divmod(len(gpus), len(computing))
    counted = f"{len(computing)} processes compute gradients on this host's {_counted(gpus)}"
    if not share and all_reduce == "nccl":
        raise ConfigError(f'learner.all_reduce = "nccl": {counted}, and NCCL allows one process on each; use "ring"')
    if not share:
        say(f"{counted}: they share {'it' if len(gpus) == 1 else 'them'}")
    elif left:
        say(f"{counted}: {share} each, {left} left over")
    return dict(zip(computing, gpu_shares(gpus, len(computing)), strict=True))


def _counted(gpus: tuple[str, ...]) -> str:
    return f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''}"


def gpu_shares(gpus: tuple[str, ...], count: int) -> list[dict[str, str]]:
    """The variables by which each of so many processes sees as many GPUs as the others, or, of too few, shares one."""
    if not gpus or count == 1:
        return [{} for _ in range(count)]
    share = len(gpus) // count
    dealt = [gpus[i * share : (i + 1) * share] if share else (gpus[i % len(gpus)],) for i in range(count)]
    return [{VISIBLE: ",".join(own), **({} if share else _GROWING)} for own in dealt]
