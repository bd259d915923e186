"""Run by `tests.support.parity_runs`: forks the processes of cases, which so begin with everything imported.

Each line of stdin is a case: a JSON list of its processes, each its environment variables and its arguments. The first
one's exit status and output is the line of stdout that answers it.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from tempfile import TemporaryFile
from typing import IO

from tests.support import acting_placement, gpu_parity, mesh_devices, parity, placed_updates, rollout_parity
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.config import Learner
from tfdqn.roles.parameter_server import serve_device

PATIENCE_SECONDS = 200


def serve() -> None:
    for line in sys.stdin:
        with TemporaryFile() as output:
            first, *others = [_fork(variables, arguments, output) for variables, arguments in json.loads(line)]
            _, status = os.waitpid(first, 0)
            for pid in others:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            output.seek(0)
            print(json.dumps([status, output.read().decode(errors="replace")]), flush=True)


def _fork(environment: Mapping[str, str], arguments: Sequence[str], output: IO[bytes]) -> int:
    """The number of a process that does what the arguments say."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.alarm(PATIENCE_SECONDS)
        os.environ.update(environment)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        _run(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(way: str, *arguments: str) -> None:
    if way == "serve_device":
        cluster = cluster_of_environment()
        assert cluster is not None
        serve_device(cluster, Learner())
        return
    count, *others = arguments
    if way == "acting":
        acting_placement.main(int(count), *others)
        return
    if way == "placed_updates":
        placed_updates.main(int(count), *others)
        return
    if way == "mesh_devices":
        mesh_devices.main(int(count), int(others[0]))
        return
    print((parity.WAYS | rollout_parity.WAYS | gpu_parity.WAYS)[way](int(count), *others))


if __name__ == "__main__":
    serve()
