"""Where everybody is, and which process this one is: by a cluster file, or by `TF_CONFIG`."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import write_config
from tfdqn.cli import main
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.topology import Topology, read_topology, topology_of_jobs
from tfdqn.errors import ConfigError
from tfdqn.roles import entry
from tfdqn.roles.context import RoleContext

JOBS = {"learner": ["host-a:2222"], "replay_server": ["host-b:2222"], "actor": ["host-c:1", "host-d:1"]}


def tf_config(kind: str, index: object, jobs: dict[str, Any] = JOBS) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def test_a_cluster_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    topology = Topology(
        learner="host-a:2222",
        chief="host-a:2223",
        replay_server=("host-b:2222", "[fd00::1]:2222"),
        parameter_server=("host-b:2223",),
        worker=("host-b:2224",),
        actor=3,
        evaluator=1,
    )
    file = tmp_path / "cluster.json"
    file.write_bytes(topology.to_json())
    assert read_topology(file) == topology


@pytest.mark.parametrize(
    ("jobs", "why"),
    [
        ([], 'the cluster must map each job to its addresses, as in {"learner": ["host-a:2222"], "actor": 2}'),
        ({}, 'the cluster has no "learner"'),
        ({**JOBS, "learner": ["host-a:1", "host-b:1"]}, "there can be only one learner, not 2"),
        ({**JOBS, "replay_server": ["host-b"]}, 'replay_server must be a list of "host:port"'),
        ({**JOBS, "replay_server": "host-b:1"}, "replay_server must be a list of \"host:port\", not 'host-b:1'"),
        ({**JOBS, "replay_server": ["fd00::1:2222"]}, 'replay_server must be a list of "host:port"'),
        (
            {**JOBS, "replay_server": ["host-a:2222"]},
            "replay server 0 and learner 0 have the same address: host-a:2222",
        ),
        (
            {**JOBS, "learner": ["localhost:2222"]},
            "learner 0 is at localhost:2222, which no other host can reach, and replay server 0 is at host-b:2222",
        ),
        ({**JOBS, "chief": ["[::1]:2223"]}, "the chief is at [::1]:2223, which no other host can reach"),
        ({**JOBS, "actor": -1}, "actor must be a count"),
        ({**JOBS, "actor": ["c:1", "d:1", "c:1"]}, "actor 0 and actor 2 have the same address: c:1"),
        ({**JOBS, "actor": ["host-b:2222"]}, "replay server 0 and actor 0 have the same address: host-b:2222"),
        ({**JOBS, "player": 1}, "'player' is not a job of a cluster"),
        (
            {**JOBS, "ps": ["host-d:2222"], "parameter_server": ["host-e:2222"]},
            "ps and parameter_server are the same job: give only one of them",
        ),
    ],
)
def test_what_is_no_cluster_is_one_line(tmp_path: Path, jobs: object, why: str) -> None:
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps(jobs))
    with pytest.raises(ConfigError) as error:
        read_topology(file)
    assert str(error.value).startswith(f"{file}: {why}")


@pytest.mark.parametrize("listed", [[None, None], [["x"], ["y"]], [{}, {}]])
def test_a_list_that_holds_no_addresses_is_counted(listed: list[Any]) -> None:
    assert topology_of_jobs({**JOBS, "actor": listed}, "cluster.json").actor == 2


def test_a_cluster_file_that_gives_a_job_twice_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "cluster.json"
    file.write_text('{"learner": "host-a:1", "replay_server": ["host-b:2"], "learner": "host-c:1"}')
    with pytest.raises(ConfigError) as error:
        read_topology(file)
    assert str(error.value) == f'{file}: the key "learner" is given twice'


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ProcessId]:
    """Who plays, where a role only says who it is."""
    process_ids: list[ProcessId] = []

    def run_role(context: RoleContext, begun: object) -> bool:
        process_ids.append(context.process_id)
        return True

    def end(status: int) -> None:
        raise SystemExit(status)

    write_config(tmp_path, "acting.actors=2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entry, "run_role", run_role)
    monkeypatch.setattr("os._exit", end)
    return process_ids


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main.main(["run", *arguments])
    return int(ended.value.code or 0)


def test_a_process_is_the_one_that_tf_config_makes_it(played: list[ProcessId], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config("actor", 1)["TF_CONFIG"])
    assert run("actor", "tiny.toml") == 0
    assert run("actor", "tiny.toml", "--index", "1") == 0
    assert played == [ProcessId(Role.ACTOR, 1)] * 2


@pytest.mark.parametrize(
    ("is_over", "options", "status"),
    [(True, ("--stopped-status", "143"), 0), (False, ("--stopped-status", "143"), 143), (False, (), 0)],
)
def test_who_is_stopped_before_the_job_is_over_ends_as_is_asked_for(
    played: list[ProcessId], monkeypatch: pytest.MonkeyPatch, is_over: bool, options: tuple[str, ...], status: int
) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config("actor", 1)["TF_CONFIG"])
    asked: list[int] = []

    def run_role(context: RoleContext, begun: object) -> bool:
        asked.append(context.stopped_status)
        return is_over

    monkeypatch.setattr(entry, "run_role", run_role)
    assert run("actor", "tiny.toml", *options) == status
    assert asked == [143 if options else 0]


@pytest.mark.parametrize(
    ("index", "arguments", "why"),
    [
        (1, ("actor", "tiny.toml", "--index", "0"), "TF_CONFIG makes this process actor 1, not actor 0"),
        (1, ("learner", "tiny.toml"), "TF_CONFIG makes this process actor 1, not learner 0"),
        (2, ("actor", "tiny.toml"), "actor 2: TF_CONFIG has 2 actors, counted from 0"),
        (-1, ("actor", "tiny.toml"), "actor -1: TF_CONFIG has 2 actors, counted from 0"),
    ],
)
def test_who_is_told_to_be_another_is_refused(
    played: list[ProcessId],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    index: int,
    arguments: tuple[str, ...],
    why: str,
) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config("actor", index)["TF_CONFIG"])
    assert run(*arguments) == 2
    assert capsys.readouterr().err == f"tfdqn: {why}\n"
    assert played == []


def test_with_a_cluster_file_the_first_of_a_role_needs_no_number(played: list[ProcessId], tmp_path: Path) -> None:
    Path("cluster.json").write_text(json.dumps({**JOBS, "actor": 2}))
    assert run("actor", "tiny.toml", "--cluster", "cluster.json") == 0
    assert run("actor", "tiny.toml", "--cluster", "cluster.json", "--index", "1") == 0
    assert run("actor", "tiny.toml", "--cluster", "cluster.json", "--task", "1") == 0  # its former name
    assert played == [ProcessId(Role.ACTOR, 0), *[ProcessId(Role.ACTOR, 1)] * 2]


def test_what_is_wrong_with_a_cluster_names_its_file(
    played: list[ProcessId], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("three.json").write_text(json.dumps({**JOBS, "actor": 3}))
    assert run("actor", "tiny.toml", "--cluster", "three.json") == 2
    assert run("actor", "tiny.toml", "--cluster", "three.json", "--index", "3") == 2
    assert capsys.readouterr().err == (
        "tfdqn: three.json has 3 actors: by acting.actors there must be 2\n"
        "tfdqn: actor 3: three.json has 3 actors, counted from 0\n"
    )


def test_a_learner_whose_address_is_in_use_says_so_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr(entry, "import_module", lambda name: pytest.fail(f"{name} takes long to import"))
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path, "acting.actors=2")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        Path("cluster.json").write_text(
            json.dumps({"actor": 2, "replay_server": ["127.0.0.1:1"], "learner": [address]})
        )
        assert run("learner", "tiny.toml", "--cluster", "cluster.json", "--run-dir", "new") == 2
    said = capsys.readouterr().err
    assert said == f"tfdqn: {address} can't be served: is it in use, or another host's?\n"
    assert not Path("new").exists()
