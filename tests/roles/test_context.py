"""Who serves other hosts says so, and what that means; on loopback nobody says a word."""

from pathlib import Path

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.roles.context import RoleContext, say_if_open


def said(process_id: ProcessId, host: str) -> list[str]:
    lines: list[str] = []
    topology = Topology(
        learner=f"{host}:1",
        chief=f"{host}:2",
        replay_server=(f"{host}:3",),
        parameter_server=(f"{host}:4",),
        worker=(f"{host}:5",),
        actor=1,
        evaluator=1,
    )
    say_if_open(RoleContext(tiny(), topology, process_id, Path("run"), lines.append, lambda: False))
    return lines


@pytest.mark.parametrize(
    ("process_id", "where", "meaning"),
    [
        (LEARNER, "host-a:1 and host-a:2", "read the weights and the configuration"),
        (ProcessId(Role.REPLAY_SERVER), "host-a:3", "read and change what is learned from"),
        (ProcessId(Role.PARAMETER_SERVER), "host-a:4", "runs whatever graph it is sent"),
        (ProcessId(Role.WORKER), "host-a:5", "runs whatever graph it is sent"),
    ],
    ids=str,
)
def test_who_serves_other_hosts_says_what_that_means(process_id: ProcessId, where: str, meaning: str) -> None:
    (line,) = said(process_id, "host-a")
    assert line.startswith(f"warning: {process_id} serves other hosts at {where} without authentication: ")
    assert meaning in line and line.endswith("leave that to a private network or a firewall")


def test_who_is_called_by_nobody_says_nothing() -> None:
    assert said(ProcessId(Role.ACTOR), "host-a") == said(ProcessId(Role.EVALUATOR), "host-a") == []


def test_on_loopback_nothing_is_said() -> None:
    assert [said(ProcessId(role), "127.0.0.1") for role in Role] == [[]] * len(Role)
