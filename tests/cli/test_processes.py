"""`tfdqn run`, one process of a job, which is told to end before and after its role is imported."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tests.support.commands import PROJECT, write_config
from tests.support.run_files import finished_run
from tests.support.tiny_runs import tiny
from tests.support.waiting import until
from tfdqn.cli import main
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.topology import Topology
from tfdqn.coordination.heartbeat_files import VARIABLE, heartbeat_file, write_heartbeat
from tfdqn.roles import entry
from tfdqn.roles.context import RoleContext
from tfdqn.storage.locks import locked

ACTOR = ProcessId(Role.ACTOR, 1)


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses with which the process has ended itself, which it survives here."""
    statuses: list[int] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "heartbeats"))
    monkeypatch.setattr("os._exit", statuses.append)
    topology = Topology(learner="127.0.0.1:1", replay_server=("127.0.0.1:2",), actor=2, evaluator=1)
    (tmp_path / "cluster.json").write_bytes(topology.to_json())
    write_config(tmp_path, "acting.actors=2")
    return statuses


def run(*arguments: str) -> None:
    main.main(["run", "actor", "tiny.toml", "--cluster", "cluster.json", "--index", "1", *arguments])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("options", "status"), [((), 0), (("--stopped-status", "143"), 143)])
def test_a_signal_while_its_role_is_imported_ends_it_at_once_and_its_heartbeat(
    ended: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    options: tuple[str, ...],
    status: int,
) -> None:
    said, left = list[str](), list[bool]()

    def imports(context: RoleContext, begun: object) -> bool:
        write_heartbeat(heartbeat_file(ACTOR), str(ACTOR), "starting", 0.0)
        lock = locked(Path("held"), Path())
        lock.__enter__()
        left.extend((heartbeat_file(ACTOR).exists(), bool(Path("held").read_bytes())))
        signal.raise_signal(number)
        until(lambda: ended, "the end, although this call goes on")
        said.append(capsys.readouterr().out)
        left.extend((heartbeat_file(ACTOR).exists(), bool(Path("held").read_bytes())))
        return True

    monkeypatch.setattr(entry, "run_role", imports)
    run(*options)
    assert left == [True, True, False, False]  # before and after
    assert (ended[0], said) == (status, ["actor 1 stopped while starting: nothing was lost\n"])


def test_a_signal_when_its_role_has_begun_is_the_role_s_to_answer(
    ended: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def acts(context: RoleContext, begun: Callable[[], None]) -> bool:
        begun()
        signal.raise_signal(signal.SIGTERM)
        until(context.interrupted, "the signal")
        return False

    monkeypatch.setattr(entry, "run_role", acts)
    run("--stopped-status", "143")
    assert (ended, capsys.readouterr().out) == ([143], "stopping\n")


def test_while_it_waits_for_an_index_the_heartbeat_of_who_has_one_stays(
    ended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = heartbeat_file(ProcessId(Role.ACTOR, 0))
    write_heartbeat(other, "actor 0", "acting", 0.0)

    def waits(*arguments: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        until(lambda: ended, "the end, although this call goes on")

    monkeypatch.setattr("tfdqn.cluster.index_lease.lease_index", waits)
    main.main(["run", "actor", "tiny.toml", "--cluster", "cluster.json", "--leases", "leases"])
    assert ended[0] == 0 and other.exists()


def test_once_it_has_an_index_its_own_heartbeat_ends_with_it(ended: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def imports(context: RoleContext, begun: object) -> bool:
        write_heartbeat(heartbeat_file(ACTOR), str(ACTOR), "starting", 0.0)
        signal.raise_signal(signal.SIGTERM)
        until(lambda: ended, "the end, although this call goes on")
        return True

    monkeypatch.setattr("tfdqn.cluster.index_lease.lease_index", lambda *_: ACTOR)
    monkeypatch.setattr(entry, "run_role", imports)
    main.main(["run", "actor", "tiny.toml", "--cluster", "cluster.json", "--leases", "leases"])
    assert ended[0] == 0 and not heartbeat_file(ACTOR).exists()


def test_health_takes_the_option_of_older_manifests(ended: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for option in ("--index", "--task"):
        assert main.main(["health", "actor", option, "1"]) == 1
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and said[0].startswith("actor 1")


def test_health_of_a_process_that_the_job_never_had_is_refused(
    ended: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_run(tmp_path / "run", tiny(), [5.0], 4.0)
    assert main.main(["health", "actor", "--index", "7", "--run-dir", "run"]) == 0  # who knows which there were
    run.cluster_file.write_bytes((tmp_path / "cluster.json").read_bytes())
    assert main.main(["health", "actor", "--index", "1", "--run-dir", "run"]) == 0
    assert main.main(["health", "actor", "--index", "7", "--run-dir", "run"]) == 2
    assert capsys.readouterr().err == "tfdqn: actor 7: run/cluster.json has 2 actors, counted from 0\n"


def test_no_manifest_gives_an_option_that_is_only_kept_for_older_ones() -> None:
    verbs = typer.main.get_command(main.app).commands.values()  # type: ignore[attr-defined]
    hidden = {name for verb in verbs for each in verb.params if getattr(each, "hidden", False) for name in each.opts}
    texts = [file.read_text() for file in (PROJECT / "launchers").rglob("*") if file.is_file()]
    given = {option for text in texts for option in re.findall(r"(?<![\w-])--[a-z-]+", text)}
    assert hidden >= {"--task", "--places"} and given >= {"--index", "--leases", "--cluster", "--pool"}
    assert not hidden & given
