"""The GPUs of this host, dealt out to the processes of a program that compute gradients: no two take one's memory."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from itertools import takewhile

from msgspec.structs import replace

from tfdqn.cluster.program import Program
from tfdqn.cluster.roles import TRAITS
from tfdqn.config import Config

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_LIST = ("--query-gpu=uuid", "--format=csv,noheader")
_LIST_SECONDS = 30.0
# Else the first process that sees a GPU takes all of its memory.
_GROWING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names for `CUDA_VISIBLE_DEVICES`: those that it has already, or else of all that NVIDIA's driver lists."""
    if _VISIBLE in environment:
        named = (each.strip() for each in environment[_VISIBLE].split(","))
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


def deal_gpus(config: Config, program: Program, gpus: tuple[str, ...], say: Callable[[str], None]) -> Program:
    """The program, each of its processes that compute gradients with as many GPUs of its own as the others.

    Where there are fewer GPUs than such processes, they share them: each has one, and takes its memory as it needs it.

    Args:
      gpus: of this host.
      say: shows one line to the user, where some share or some are left over.
    """
    computing = [each for each in program.processes if TRAITS[each.id.role].computes_gradients(config)]
    if not gpus or len(computing) < 2:
        return program
    share, left = divmod(len(gpus), len(computing))
    counted = f"{len(computing)} processes compute gradients on this host's {len(gpus)} GPUs"
    if not share:
        say(f"{counted}: they share them")
    elif left:
        say(f"{counted}: {share} each, {left} left over")
    shares = zip(computing, gpu_shares(gpus, len(computing)), strict=True)
    environments = {process.id: {**process.environment, **more} for process, more in shares}
    processes = (replace(each, environment=environments.get(each.id, each.environment)) for each in program.processes)
    return replace(program, processes=tuple(processes))


def gpu_shares(gpus: tuple[str, ...], count: int) -> list[dict[str, str]]:
    """The variables by which each of so many processes sees as many GPUs as the others, or, of too few, shares one."""
    if not gpus or count == 1:
        return [{} for _ in range(count)]
    share = len(gpus) // count
    dealt = [gpus[i * share : (i + 1) * share] if share else (gpus[i % len(gpus)],) for i in range(count)]
    return [{_VISIBLE: ",".join(own), **({} if share else _GROWING)} for own in dealt]
