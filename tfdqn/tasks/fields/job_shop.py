"""`make_job_shop`: graph-jsp-env's job shop, whose schedule is built by one operation after another."""

import contextlib
import io
from typing import Any

import gymnasium
import numpy as np

from tfdqn.errors import PackageMissingError
from tfdqn.system.shell_commands import install_extra
from tfdqn.tasks.fields.job_shop_instances import read_instance


def make_job_shop(instance: str = "ft06") -> gymnasium.Env[np.ndarray, int]:
    """An environment whose episode is a schedule of every operation of the instance.

    Action j schedules the next operation of job j as early as its machine is free for as long as it takes, be that
    between others that are scheduled already. The reward is that of Zhang et al. 2020: minus what the longest path
    through the schedule's graph has grown by. So a return is the longest job's length less the makespan.
    `valid_action_mask()` says which jobs have operations left. Observation float32[n (n + m + 1)], of n operations and
    m machines: the graph's weights, machines one-hot and times, all between 0 and 1.

    Args:
      instance: "ft06", "la01", or a file in the same form: see `read_instance`.
    """
    shop = read_instance(instance)
    return _graph_env(np.stack([shop.machines, shop.times]), int(shop.times.sum(axis=1).max()))


def _growth(observation: Any, done: Any, info: Any, graph: Any, now: float, before: float, longest_job: int) -> float:
    """The reward. The first step counts from the longest job; the package's own counts from the last makespan."""
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
