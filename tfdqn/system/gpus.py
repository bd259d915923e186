"""The GPUs of this host, dealt out to processes: no two take one's memory where there are enough."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import TypeVar

VISIBLE = "CUDA_VISIBLE_DEVICES"
NONE_VISIBLE = {VISIBLE: ""}
_LIST = ("--query-gpu=uuid", "--format=csv,noheader")
_LIST_SECONDS = 30.0
# Where several share a GPU, whatever else the user says.
_GROWING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}

Process = TypeVar("Process")


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names for `CUDA_VISIBLE_DEVICES`: those that it has already, or else of all that NVIDIA's driver lists."""
    if VISIBLE in environment:
        named = (each.strip() for each in environment[VISIBLE].split(","))
        return tuple(takewhile(lambda each: each not in ("", "-1"), named))  # as CUDA reads them
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return ()
    try:
        done = subprocess.run(
            (program, *_LIST), capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=_LIST_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.startswith("GPU-"))


def deal(
    computing: Sequence[Process], gpus: tuple[str, ...], say: Callable[[str], None]
) -> dict[Process, dict[str, str]]:
    """The variables of each process that computes gradients, by which it has as many GPUs of its own as the others.

    Where there are fewer GPUs than such processes, they share them: each has one, and takes its memory as it needs it.

    Args:
      gpus: of this host.
      say: shows one line to the user, where some share or some are left over.
    """
    if not gpus or len(computing) < 2:
        return {}
    share, left = divmod(len(gpus), len(computing))
    counted = f"{len(computing)} processes compute gradients on this host's {len(gpus)} GPUs"
    if not share:
        say(f"{counted}: they share them")
    elif left:
        say(f"{counted}: {share} each, {left} left over")
    return dict(zip(computing, gpu_shares(gpus, len(computing)), strict=True))


def gpu_shares(gpus: tuple[str, ...], count: int) -> list[dict[str, str]]:
    """The variables by which each of so many processes sees as many GPUs as the others, or, of too few, shares one."""
    if not gpus or count == 1:
        return [{} for _ in range(count)]
    share = len(gpus) // count
    dealt = [gpus[i * share : (i + 1) * share] if share else (gpus[i % len(gpus)],) for i in range(count)]
    return [{VISIBLE: ",".join(own), **({} if share else _GROWING)} for own in dealt]
