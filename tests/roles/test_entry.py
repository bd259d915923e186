"""Where a process begins its part in a job."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.threaded_jobs import free_address, until
from tests.support.tiny_runs import tiny
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.coordination.heartbeat_files import heartbeat_file
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
