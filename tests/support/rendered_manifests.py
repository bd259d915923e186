"""What tests of manifests share: the example in launchers/, and the command line's own reading of what is rendered."""

import copy
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.program import Program
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.topology import Topology, read_topology
from tfdqn.config.toml import load
from tfdqn.launch.manifests.job_spec import CLUSTER_FILE, COMMAND, CONFIG_FILE, RUN_DIR, JobSpec
from tfdqn.launch.manifests.platforms import Platform
from tfdqn.launch.manifests.render import render

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "cartpole-parameter-server.toml"
COUNTS = ("--actors", "4", "--workers", "2", "--parameter-servers", "1", "--replay-servers", "2")
OVERRIDES = ("acting.actors=4", "replay.shards=2")
STRATEGIES = [(), ("learner.strategy=multi_worker",), ("learner.strategy=local",)]
EVERYBODY = {
    *(ProcessId(Role.REPLAY_SERVER, i) for i in range(2)),
    ProcessId(Role.LEARNER),
    ProcessId(Role.PARAMETER_SERVER),
    *(ProcessId(Role.WORKER, i) for i in range(2)),
    *(ProcessId(Role.ACTOR, i) for i in range(4)),
    ProcessId(Role.EVALUATOR),
}


def wanted(*overrides: str, **changes: object) -> JobSpec:
    """The example's, or one that differs from it."""
    config = load(CONFIG, (*OVERRIDES, *overrides))
    return JobSpec(**{"name": "cartpole-parameter-server", "config": config, "image": "tfdqn:0.1.0"} | changes)


@cache
def rendered(target: Platform, *overrides: str, **changes: object) -> dict[str, str]:
    return render(target, wanted(*overrides, **changes))


def changed(made: Any, path: Sequence[str | int], key: str, value: object) -> Any:
    """A copy of what is rendered, with another value of a key of what the path leads to."""
    copied = inner = copy.deepcopy(made)
    for name in path:
        inner = inner[name]
    inner[key] = value
    return copied


def below_init(command: Sequence[str]) -> list[str]:
    """What process 1 of a container starts."""
    init, program = COMMAND[:-1], COMMAND[-1:]
    assert tuple(command[: len(COMMAND)]) == init + program
    return list(command[len(init) :])


def member_of(
    command: Sequence[str],
    config_toml: str,
    cluster_json: str,
    folder: Path,
    names: Sequence[str] = (CONFIG_FILE, CLUSTER_FILE, RUN_DIR),
) -> ProcessId:
    """Whom a command line makes a process, as `tfdqn run` itself reads it, up to where the role's work begins.

    Args:
      command: with `tfdqn`.
      config_toml, cluster_json: what the command finds under the names of the container's files.
      folder: to put them.
      names: of these, and of the run's directory, in the command.
    """
    from typer.main import get_command

    from tfdqn.cli import main

    (folder / "config.toml").write_text(config_toml)
    (folder / "cluster.json").write_text(cluster_json)
    assert command[:2] == ["tfdqn", "run"]
    verb = get_command(main.app).commands["run"]  # type: ignore[attr-defined]
    given = verb.make_context("tfdqn run", list(command[2:])).params
    assert not given["overrides"]
    files = (given["config"], given["cluster"], given["run_dir"])
    assert [str(file) for file in files] == list(names)
    process_id = ProcessId(Role(given["role"]), given["index"])
    topology = topology_in(folder)
    topology.require(process_id)
    check_topology(load(folder / "config.toml"), topology)
    return process_id


def share_of(
    command: Sequence[str],
    config_toml: str,
    environment: Mapping[str, str],
    folder: Path,
    names: tuple[str, str] = (CONFIG_FILE, RUN_DIR),
) -> Program:
    """What a machine runs by a command line, as `tfdqn host` itself reads it, up to where the processes start.

    Args:
      command: with `tfdqn`.
      config_toml: what the command finds under the name of the container's file.
      environment: that the platform sets.
      folder: to put the files.
      names: of the configuration and of the run's directory, in the command.
    """
    from tfdqn.cli import main

    (folder / "config.toml").write_text(config_toml)
    assert command[:3] == ["tfdqn", "host", names[0]]
    assert command[command.index("--run-dir") + 1] == names[1]
    places = {names[0]: str(folder / "config.toml"), names[1]: str(folder / "run")}
    taken: list[Program] = []

    class Taken(Exception):
        pass

    def supervisor(program: Program, *_: object) -> None:
        taken.append(program)
        raise Taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfdqn.launch.local_job.Supervisor", supervisor)
        for variable in ("TF_CONFIG", "CLUSTER_SPEC"):
            patch.delenv(variable, raising=False)
        for variable, value in environment.items():
            patch.setenv(variable, value)
        with pytest.raises(Taken):
            main.main([places.get(word, word) for word in command[1:]])
    return taken[0]


def tf_config(every: Mapping[str, Any], kind: str, index: int, name: str) -> str:
    """What the operator (`SetClusterSpec`, v1) tells a pod of a TFJob: a service for each, the evaluator left out.

    Args:
      every: the objects of the manifest, by kind.
      kind: of the pod's replicas.
      name: of the job.
    """
    cluster = {}
    for each, replica in every["TFJob"]["spec"]["tfReplicaSpecs"].items():
        (container,) = replica["template"]["spec"]["containers"]
        assert container["name"] == "tensorflow"
        (port,) = [each["containerPort"] for each in container["ports"] if each["name"] == "tfjob-port"]
        pods = [f"{name}-{each.lower()}-{i}.team.svc:{port}" for i in range(replica["replicas"])]
        cluster |= {} if each == "Evaluator" else {each.lower(): pods}
    return json.dumps({"cluster": cluster, "task": {"type": kind.lower(), "index": index}, "environment": "cloud"})


def topology_in(folder: Path) -> Topology:
    return read_topology(folder / "cluster.json")
