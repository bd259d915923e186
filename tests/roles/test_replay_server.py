"""A replay server before it serves."""

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.threaded_jobs import free_address
from tests.support.tiny_runs import tiny
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.errors import ClusterError
from tfdqn.roles import replay_server
from tfdqn.roles.context import RoleContext
from tfdqn.roles.entry import run_role
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete


def test_a_port_that_is_taken_is_told_before_the_learner_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        topology = Topology(learner=free_address(), replay_server=(address,), actor=1, evaluator=0)
        context = RoleContext(tiny(), topology, ProcessId(Role.REPLAY_SERVER), tmp_path / "run", print, lambda: True)
        with pytest.raises(ClusterError, match=f"{address} can't be served: Address already in use"):
            run_role(context)
    assert not (tmp_path / "run").exists()


def test_a_new_server_restores_nothing(tmp_path: Path) -> None:
    states: list[str] = []
    spec = TaskSpec(id="x", observation={"observation": ArraySpec(shape=(4,), dtype="float32")}, actions=discrete(2))
    membership: Any = SimpleNamespace(join=lambda interrupted: SimpleNamespace(task_spec=spec), set_state=states.append)
    topology = Topology(learner=free_address(), replay_server=(free_address(),), actor=1, evaluator=0)
    context = RoleContext(tiny(), topology, ProcessId(Role.REPLAY_SERVER), tmp_path / "run", print, lambda: True)
    assert not replay_server.run(context, membership)
    assert states == ["starting to serve"]
