"""Finds out whether EnvPool can render a task on this machine, in a process of its own: `python -m` this module.

Where OpenGL is missing, the renderer of MuJoCo's tasks ends the process that it runs in, and raises no exception.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from tfdqn.errors import TaskError
from tfdqn.system.subprocesses import dies_with, how_it_ended

_TIMEOUT_SECONDS = 120.0


def require_rendering(task_id: str, make: Callable[[list[int]], Any]) -> None:
    """Raises TaskError if an environment can't be rendered.

    Args:
      task_id: EnvPool's id, for the error.
      make: makes EnvPool's environments from a seed for each; must be picklable.
    """
    try:
        trial = subprocess.run(
            [sys.executable, "-P", "-m", __name__],  # -P: no module of the current folder shadows a library's
            input=pickle.dumps(make),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_SECONDS,
            preexec_fn=dies_with(os.getpid()),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _cannot_be_rendered(task_id, f"no picture came within {_TIMEOUT_SECONDS:g} s") from error
    if trial.returncode:
        lines = [line for line in trial.stdout.decode(errors="replace").splitlines() if line.strip()]
        why = lines[-1].removeprefix("ERROR: ") if lines else f"the process {how_it_ended(trial.returncode)}"
        raise _cannot_be_rendered(task_id, why)


def _cannot_be_rendered(task_id: str, why: str) -> TaskError:
    others = '; `task.suite="auto"` renders gymnasium\'s version' if task_id in gymnasium.registry else ""
    return TaskError(f"EnvPool can't render {task_id} here: {why}{others}")


def _render_once(make: Callable[[list[int]], Any]) -> None:
    pool = make([0])
    pool.reset()
    pool.render(env_ids=np.arange(1))


if __name__ == "__main__":
    _render_once(pickle.load(sys.stdin.buffer))
