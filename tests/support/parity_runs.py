"""Cases of `tests.support.parity` and `mesh_devices`, in processes of their own: TensorFlow fixes devices at its start.

They are forked from one process that has imported all that they need, and has not started TensorFlow.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

from tfdqn.cluster.tf_config import VARIABLE, Cluster
from tfdqn.system.addresses import free_addresses

ROOT = Path(__file__).parents[2]


def largest_difference(
    way: str,
    count: str,
    *arguments: str,
    agent: Mapping[str, object] | None = None,
    network: Mapping[str, object] | None = None,
    actions: Sequence[int] | None = None,
    devices: str = "parts",
) -> float:
    """Between the states of `way` and of plain local training after twenty updates.

    Args:
      way: one of `parity.WAYS`, `rollout_parity.WAYS` or `gpu_parity.WAYS`.
      count: of its devices, processes or servers.
      arguments: what else that function takes.
      agent: its settings; none: Double DQN.
      network: the settings of the MLP beside its width.
      actions: how many there are in each of several branches; none: four, of one number.
      devices: "parts" of the CPU, or "gpus".
    """
    case = [way, count, *arguments]
    variables = {
        "PARITY_AGENT": json.dumps(agent or {}),
        "PARITY_NETWORK": json.dumps(network or {}),
        "PARITY_ACTIONS": json.dumps(actions or 4),
        "PARITY_DEVICES": devices,
    }
    if way == "parameter_server":
        jobs = {"chief": 1, "worker": 1, "ps": int(count)}
    elif way in ("multi_worker", "units", "rollouts by multi_worker"):
        jobs = {"worker": int(count)}
    else:
        return float(forked([(variables, case)]))
    addresses = iter(free_addresses(sum(jobs.values())))
    cluster = {job: tuple(islice(addresses, number)) for job, number in jobs.items()}
    processes = [
        (
            variables | {VARIABLE: Cluster(jobs=cluster, job=job, index=index).tf_config()},
            ["serve_device"] if way == "parameter_server" and job != "chief" else case,
        )
        for job, number in jobs.items()
        for index in range(number)
    ]
    return float(forked(processes))


def forked(processes: list[tuple[dict[str, str], list[str]]]) -> str:
    """The first process's last line; the others end with it. Each is its environment variables and its arguments."""
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    print(json.dumps(processes), file=server.stdin, flush=True)
    status, output = json.loads(server.stdout.readline())
    assert status == 0, output[-3000:]
    return output.splitlines()[-1]


@cache
def _server() -> subprocess.Popen:
    """It ends with its input, and so with this process."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.parity_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
