"""`make_job_shop`: graph-jsp-env's job shop, where each action adds one operation to the schedule."""

import contextlib
import io
from typing import Any

import gymnasium
import numpy as np

from tfdqn.errors import PackageMissingError
from tfdqn.system.shell_commands import install_extra
from tfdqn.tasks.fields.job_shop_instances import read_instance


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
