"""Environments in processes of their own: the same steps, and no process outlives the one that wants it."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.registry import make_task

MASKED = "tests.environments:Masked-v0"


def test_environments_in_processes_of_their_own_do_the_same_as_in_turn():
    settings = {"num_envs": 2, "frame_stack": 2, "action_masks": True}
    in_turn = make_task(Task(id=MASKED, **settings))
    in_processes = make_task(Task(id=MASKED, vectorization="async", **settings))
    assert isinstance(in_processes._envs, AsyncVectorEnv)
    try:
        first, second = in_turn.reset(seed=3), in_processes.reset(seed=3)
        np.testing.assert_array_equal(first[0]["observation"], second[0]["observation"])
        for _ in range(9):
            actions = np.argmax(in_turn.legal_actions, axis=1).astype(np.int32)
            for mine, theirs in zip(in_turn.step(actions), in_processes.step(actions), strict=True):
                np.testing.assert_equal(mine, theirs)
        assert in_processes.state() is None
        os.kill(in_processes._envs.processes[0].pid, signal.SIGINT)  # Ctrl-C is for the parent to judge
        in_processes.step(np.argmax(in_processes.legal_actions, axis=1).astype(np.int32))
        in_processes._envs.processes[0].kill()
        in_processes._envs.processes[0].join()
        with pytest.raises(TaskError, match="an environment's process has ended"):
            in_processes.step(actions)
    finally:
        workers = in_processes._envs.processes
        in_processes.close()
    assert not any(worker.is_alive() for worker in workers)


def test_environments_in_processes_of_their_own_end_with_a_parent_that_is_killed():
    script = (
        "from tfdqn.config import Task\n"
        "from tfdqn.tasks.registry import make_task\n"
        "import time\n"
        "if __name__ == '__main__':\n"
        "    task = make_task(Task(id='Acrobot-v1', num_envs=2, vectorization='async'))\n"
        "    print(*(worker.pid for worker in task._envs.processes), flush=True)\n"
        "    time.sleep(100)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2 and all(map(is_running, workers))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second: it went between opening and reading
        return False
