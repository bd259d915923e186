"""A job's processes as data: who runs what where, who needs whom, and the ports that stay."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.tiny_runs import tiny, tiny_pqn
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.cluster.program import Program, local_topology, make_program
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.cluster.topology import read_topology
from tfdqn.errors import ConfigError
from tfdqn.launch.local_job import program_for
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.addresses import host_and_port, is_free

ASYNCHRONOUS = ("learner.strategy=parameter_server", "learner.workers=2", "acting.actors=3", "replay.shards=2")


def a_program(*overrides: str) -> Program:
    config = tiny(*overrides)
    return make_program(
        config, local_topology(config), config_file="c.toml", cluster_file="cluster.json", run_dir="run"
    )


def names(program: Program) -> list[str]:
    return [process.id.file_stem for process in program.processes]


def test_a_program_has_every_process_that_the_configuration_asks_for() -> None:
    assert names(a_program()) == ["replay_server-0", "learner-0", "actor-0", "evaluator-0"]
    assert names(a_program(*ASYNCHRONOUS)) == [
        *("replay_server-0", "replay_server-1", "learner-0", "parameter_server-0", "worker-0", "worker-1"),
        *("actor-0", "actor-1", "actor-2", "evaluator-0"),
    ]
    # The learner is one of those that learn in lockstep, and the first member of an ensemble.
    lockstep = a_program("learner.strategy=multi_worker", "learner.workers=2")
    assert names(lockstep) == ["replay_server-0", "learner-0", "worker-0", "actor-0", "evaluator-0"]
    members = a_program("ensemble.size=3", "ensemble.execution=processes", "ensemble.target=own")
    assert names(members).count("worker-1") == 1
    assert names(members).count("replay_server-2") == 1


@pytest.mark.parametrize(
    ("overrides", "computing"),
    [
        (ASYNCHRONOUS, {"worker-0", "worker-1"}),
        (("learner.strategy=mirrored",), {"learner-0"}),
        (("learner.strategy=multi_worker", "learner.workers=2"), {"learner-0", "worker-0"}),
    ],
)
def test_gpus_are_seen_by_those_alone_that_compute_gradients(overrides: tuple[str, ...], computing: set[str]) -> None:
    program = a_program(*overrides)
    blind = {
        process.id.file_stem for process in program.processes if process.environment.get("CUDA_VISIBLE_DEVICES") == ""
    }
    assert blind == set(names(program)) - computing
    for process in program.processes:
        assert "CUDA_VISIBLE_DEVICES" not in process.environment or process.id.file_stem in blind


def test_each_process_is_told_its_part_and_nobody_else_s_port() -> None:
    program = a_program(*ASYNCHRONOUS)
    worker = program.processes[5]
    assert worker.id == ProcessId(Role.WORKER, 1)
    assert worker.arguments == (
        *("run", "worker", "c.toml", "--index", "1", "--cluster", "cluster.json", "--run-dir", "run"),
    )
    assert worker.environment == {"TF_CONFIG": None}
    ports = [host_and_port(address)[1] for address in program.topology.named_addresses().values()]
    assert len(ports) == len(set(ports)) == 7  # the learner has two, actors and evaluator none
    assert all(20_000 <= port < 32_000 for port in ports)


def test_whom_somebody_needs_is_stopped_after_them() -> None:
    order = [[process.id.file_stem for process in group] for group in a_program(*ASYNCHRONOUS).stop_order()]
    assert order == [
        ["actor-0", "actor-1", "actor-2", "evaluator-0"],
        ["learner-0"],
        ["worker-0", "worker-1"],
        ["replay_server-0", "replay_server-1", "parameter_server-0"],
    ]


def test_a_job_in_several_processes_needs_replay_that_all_can_reach() -> None:
    with pytest.raises(ConfigError, match=r'replay.backend = "in_graph" is within one process'):
        a_program("replay.backend=in_graph")


def test_a_job_in_several_processes_needs_replay(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'^agent.kind = "pqn" has no replay, .* `tfdqn train` trains it'):
        program_for(tiny_pqn(), RunDir(tmp_path), True)


def test_ports_are_kept_for_the_run_while_they_are_free(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    first = program_for(tiny(*ASYNCHRONOUS), run, True).topology
    run.cluster_file.write_bytes(first.to_json())
    assert read_topology(run.cluster_file) == first
    assert program_for(tiny(*ASYNCHRONOUS), run, True).topology == first
    more = program_for(tiny(*ASYNCHRONOUS, "learner.workers=3"), run, False).topology
    assert (more.learner, more.chief, more.worker[:2]) == (first.learner, first.chief, first.worker)
    assert (len(more.worker), more.evaluator) == (3, 0)
    run.cluster_file.write_bytes(more.to_json())
    with socket.socket() as other:
        other.bind(host_and_port(more.learner))
        other.listen()
        assert not is_free(more.learner)
        moved = program_for(tiny(*ASYNCHRONOUS), run, True).topology
    assert moved.learner != more.learner
    assert moved.replay_server == more.replay_server


LAUNCHES = f"""
import json, sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.cluster.test_program import ASYNCHRONOUS, tiny
from tfdqn.cluster.program import local_topology
print(json.dumps(json.loads(local_topology(tiny(*ASYNCHRONOUS)).to_json())), flush=True)
sys.stdin.read()
"""


def test_ports_that_another_launch_was_given_are_not_kept_even_before_it_serves_there(tmp_path: Path) -> None:
    """As of a copy of the run that is launched at the same moment."""
    run = RunDir(tmp_path)
    with subprocess.Popen([sys.executable, "-c", LAUNCHES], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as another:
        assert another.stdout is not None
        run.cluster_file.write_bytes(another.stdout.readline())
        theirs = read_topology(run.cluster_file)
        assert all(map(is_free, theirs.named_addresses().values()))
        ours = program_for(tiny(*ASYNCHRONOUS), run, True).topology
        assert not set(ours.named_addresses().values()) & set(theirs.named_addresses().values())
        another.communicate(timeout=PATIENCE_SECONDS)


def test_a_damaged_cluster_file_costs_the_ports_alone(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.cluster_file.write_text("{")
    assert program_for(tiny(), run, True).topology.learner
