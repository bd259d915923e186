"""Where a process begins its part in a job."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.threaded_jobs import free_address
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.cluster.roles import LEARNER, ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.coordination.heartbeat_files import heartbeat_file, read_heartbeat
from tfdqn.coordination.membership import Membership
from tfdqn.roles import entry
from tfdqn.roles.context import RoleContext


def test_heartbeats_go_on_while_the_role_is_imported_and_end_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process_id = ProcessId(Role.ACTOR, 1)
    file = heartbeat_file(process_id)
    imported: list[str] = []

    def import_role(name: str) -> SimpleNamespace:
        until(file.exists, "heartbeat")
        imported.append(name)
        return SimpleNamespace(run=run)

    def run(context: RoleContext, membership: Membership) -> bool:
        return membership.process_id == process_id and imported[1:] == ["begun"]

    monkeypatch.setattr(entry, "import_module", import_role)
    topology = Topology(learner=free_address(), actor=2)
    context = RoleContext(tiny(), topology, process_id, tmp_path, print, lambda: False)
    assert entry.run_role(context, lambda: imported.append("begun"))
    assert imported == ["tfdqn.roles.actor", "begun"]
    assert not file.exists()


def test_a_learner_gives_heartbeats_from_before_its_import_until_it_gives_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = heartbeat_file(LEARNER)
    events: list[str] = []

    def import_role(name: str) -> SimpleNamespace:
        until(file.exists, "heartbeat")
        events.append(name)
        return SimpleNamespace(run=run)

    def run(context: RoleContext, gives_heartbeats: Callable[[], None]) -> bool:
        file.unlink()
        until(file.exists, "another heartbeat")
        heartbeat = read_heartbeat(file)
        assert heartbeat is not None and (heartbeat.name, heartbeat.state) == ("learner 0", "starting")
        gives_heartbeats()
        assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
        return events == ["tfdqn.roles.learner", "begun"]

    monkeypatch.setattr(entry, "import_module", import_role)
    context = RoleContext(tiny(), Topology(learner=free_address()), LEARNER, tmp_path, print, lambda: False)
    assert entry.run_role(context, lambda: events.append("begun"))
