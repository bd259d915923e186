"""`make_job_shop`: graph-jsp-env's job shop, where each action adds one operation to the schedule."""

import contextlib
import io
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from tfdqn.errors import PackageMissingError, TaskError
from tfdqn.system.shell_commands import install_extra

# As in JSPLIB, with the optimal makespan beside each.
FT06 = """
2 1 0 3 1 6 3 7 5 3 4 6
1 8 2 5 4 10 5 10 0 10 3 4
2 5 3 4 5 8 0 9 1 1 4 7
1 5 0 5 2 5 3 3 4 8 5 9
2 9 1 3 4 5 5 4 0 3 3 1
1 3 3 3 5 9 0 10 4 4 2 1
"""  # Fisher and Thompson 1963: 55
LA01 = """
1 21 0 53 4 95 3 55 2 34
0 21 3 52 4 16 2 26 1 71
3 39 4 98 1 42 2 31 0 12
1 77 0 55 4 79 2 66 3 77
0 83 3 34 2 64 1 19 4 37
1 54 2 43 4 79 0 92 3 62
3 69 4 77 1 87 2 87 0 93
2 38 0 60 1 41 3 24 4 83
3 17 1 49 4 25 0 44 2 98
4 77 3 79 2 43 1 75 0 96
"""  # Lawrence 1984: 666
INSTANCES, OPTIMA = {"ft06": FT06, "la01": LA01}, {"ft06": 55, "la01": 666}


class JobShop(NamedTuple):
    """An instance, in which each job needs every machine once.

    Attributes:
      machines: int[jobs, machines]: the machine of each of a job's operations in order, from 0.
      times: int[jobs, machines]: how long each operation takes.
    """

    machines: np.ndarray
    times: np.ndarray


def make_job_shop(instance: str = "ft06") -> gymnasium.Env[np.ndarray, int]:
    """Makes an environment in which an episode schedules all operations of an instance.

    Action j schedules the next operation of job j at the earliest time when its machine is free for long enough, also
    between operations that are scheduled already. The reward is that of Zhang et al. 2020: minus the growth of the
    longest path through the schedule's graph, so that a return is the length of the longest job minus the makespan.
    `valid_action_mask()` says which jobs have operations left. Observation float32[n (n + m + 1)] for n operations and
    m machines: the graph's weights, the machines one-hot, and the times, all between 0 and 1.

    Args:
      instance: "ft06", "la01", or a file as `read_instance` reads it.

    Raises TaskError if the instance can't be read, PackageMissingError without graph-jsp-env.
    """
    shop = read_instance(instance)
    return _graph_env(np.stack([shop.machines, shop.times]), int(shop.times.sum(axis=1).max()))


def _growth(observation: Any, done: Any, info: Any, graph: Any, now: float, before: float, longest_job: int) -> float:
    """The reward. In the first step the growth is from the longest job; the package would take the last makespan."""
    is_first = sum(scheduled for _, scheduled in graph.nodes(data="scheduled")) == 3  # start, end, and one operation
    return float((longest_job if is_first else before) - now)


def _graph_env(machines_and_times: np.ndarray, longest_job: int) -> Any:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its banner
            from graph_jsp_env.disjunctive_graph_jsp_env import DisjunctiveGraphJspEnv
    except ImportError as error:
        hint = install_extra("scheduling")
        raise PackageMissingError(f"tfdqn/JobShop-v0 needs a package ({error.name}): {hint}") from error
    return DisjunctiveGraphJspEnv(
        machines_and_times,
        reward_function="custom",
        custom_reward_function=_growth,
        reward_function_parameters={"longest_job": longest_job},
        action_mode="job",
    )


def read_instance(name: str) -> JobShop:
    """Reads a known instance ("ft06", "la01") or a file.

    A file has a line for each job, with a pair "machine time" for each of its operations in order. Lines that begin
    with # are skipped, as is a first line "jobs machines".

    Raises TaskError if the file can't be read; with row and column, if a job does not need every machine once, or a
    time is not a whole number above 0.
    """
    if name in INSTANCES:
        return _parsed(name, list(enumerate(INSTANCES[name].splitlines(), start=1)))
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(INSTANCES)
        raise TaskError(f"task.kwargs.instance: {name} is neither one of {known} nor a file: {error}") from error
    return _parsed(name, list(enumerate(lines, start=1)))


def _parsed(name: str, lines: list[tuple[int, str]]) -> JobShop:
    rows = [(number, line.split()) for number, line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len(rows) > 1 and len(rows[0][1]) == 2 != len(rows[1][1]):
        rows = rows[1:]
    if not rows:
        raise TaskError(f"{name}: there is no job in it")
    jobs = [
        [_whole(f"{name}, row {number}, column {column}", text) for column, text in enumerate(row, start=1)]
        for number, row in rows
    ]
    needed = list(range(max(len(jobs[0]) // 2, 1)))
    for (number, _), job in zip(rows, jobs, strict=True):
        if sorted(job[::2]) != needed or len(job) != 2 * len(needed):
            raise TaskError(
                f"{name}, row {number}: a job needs each machine from 0 to {needed[-1]} once, with its time"
            )
        if 0 in job[1::2]:
            raise TaskError(f"{name}, row {number}, column {2 * job[1::2].index(0) + 2}: a time above 0 is needed")
    pairs = np.array(jobs).reshape(len(jobs), -1, 2)
    return JobShop(pairs[..., 0], pairs[..., 1])


def _whole(where: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise TaskError(f"{where}: {text!r} is not a whole number")
    return int(text)
