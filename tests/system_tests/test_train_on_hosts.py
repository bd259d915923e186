"""`tfdqn train` by `TF_CONFIG` on hosts with addresses of their own, where loopback leads nobody to another.

Only root can make such hosts; elsewhere these tests are skipped.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.commands import ENDLESS, PROJECT, counters, write_config
from tests.support.far_clusters import LOCKSTEP, SERVED, TINY_RUN, learning_chief, started
from tests.support.network_namespaces import Network, network
from tests.support.parallelism_page import Command, commands
from tfdqn.system.addresses import host_and_port

TRAIN_SECONDS = 300.0  # on a busy machine
MULTI_WORKER = "learner.strategy=multi_worker"


def learns(
    folder: Path, hosts: Network, jobs: Mapping[str, Sequence[str]], names: Mapping[str, str], *arguments: str
) -> None:
    """As `started`: all come to their end, and updates have been made."""
    with started(folder, hosts, jobs, names, *arguments) as processes:
        for process in processes.values():
            assert process.ended_within(TRAIN_SECONDS), process.out
            assert process.ended() == 0, process.err
            assert process.err == "" and "warning" not in process.out
    assert counters(folder / "run").train_steps >= 50


def test_two_workers_in_lockstep_learn_from_the_chief_s_replay_each_on_a_host_of_its_own(tmp_path: Path) -> None:
    write_config(tmp_path, MULTI_WORKER)
    jobs = {"worker": ["host-a:2222", "host-b:2222"]}
    with network(["host-a", "host-b"]) as hosts:
        learns(tmp_path, hosts, jobs, {"host-a": "host-a", "host-b": "host-b"}, *TINY_RUN)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", [4, 6])
def test_hosts_without_names_learn_by_their_numbers(tmp_path: Path, version: int) -> None:
    """With two replay servers in the chief's process, and actors in two threads."""
    write_config(tmp_path, MULTI_WORKER, "replay.shards=2", "acting.actors=2")
    with network(["host-a", "host-b"]) as hosts:
        address = {4: hosts.address, 6: hosts.address_v6}[version]
        names = {address(name): name for name in ("host-a", "host-b")}
        jobs = {"worker": [f"[{each}]:2222" if version == 6 else f"{each}:2222" for each in names]}
        learns(tmp_path, hosts, jobs, names, *TINY_RUN)


def documented(folder: Path) -> list[Command]:
    """The page's commands for many hosts."""
    (folder / "configs").symlink_to(PROJECT / "configs")
    return [command for command in commands(folder) if command.tf_config is not None]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(4))
def test_every_documented_command_for_many_hosts_learns_there(tmp_path: Path, number: int) -> None:
    """As it stands on the page, with a small task and few updates."""
    found = documented(tmp_path)
    assert len(found) == 4
    command = found[number]
    assert command.tf_config is not None
    jobs = json.loads(command.tf_config)["cluster"]
    names = [host_and_port(address)[0] for addresses in jobs.values() for address in addresses]
    with network(names) as hosts:
        arguments = (*command.short, "--run-dir", "run")
        learns(tmp_path, hosts, jobs, dict(zip(names, names, strict=True)), *arguments)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("strategy", "jobs", "victim", "is_cut", "told"),
    [
        ("multi_worker", LOCKSTEP, ("worker", 2), False, "worker 2 at host-c:2222: "),
        ("multi_worker", LOCKSTEP, ("worker", 0), False, "worker 0 at host-a:2222: "),
        ("multi_worker", LOCKSTEP, ("worker", 2), True, "worker 2 at host-c:2222: "),
        ("averaging", LOCKSTEP, ("worker", 2), False, "worker 2 at host-c:2222: "),
        ("parameter_server", SERVED, ("ps", 0), False, "parameter server 0 at host-c:2222: "),
    ],
    ids=["worker killed", "chief killed", "worker cut off", "unit killed", "parameter server killed"],
)
def test_who_is_lost_is_named_in_one_line(
    tmp_path: Path, strategy: str, jobs: dict[str, list[str]], victim: tuple[str, int], is_cut: bool, told: str
) -> None:
    health = ("health.dead_after_seconds=6", "health.patience_seconds=15") if is_cut else ()
    period = ["learner.averaging_period_train_steps=5"] if strategy == "averaging" else []
    keys = (*health, *period, "learner.batch_size=24", ENDLESS)
    write_config(tmp_path, f"learner.strategy={strategy}", *keys)
    names = {name: name for name in ("host-a", "host-b", "host-c")}
    with network(list(names)) as hosts, started(tmp_path, hosts, jobs, names, *TINY_RUN) as processes:
        chief = learning_chief(processes, tmp_path / "run")
        if is_cut:
            hosts.cut(host_and_port(jobs[victim[0]][victim[1]])[0])
        else:
            processes[victim].kill()
        tell = [chief] if strategy == "parameter_server" else processes.values()
        for (job, index), process in processes.items():
            if process not in tell or (job, index) == victim:
                continue
            assert process.ended_within(90), f"{job} {index}: {process.out}"
            assert process.ended() != 0
            line, *_ = process.err.splitlines()
            if is_cut:  # no call fails: silence decides
                assert process is not chief or line.startswith(f"tfdqn: {told[:-2]} has been silent for "), line
                continue
            who = "the cluster" if process is chief else f"{job} {index}"
            # Two survivors end one after the other, and the second may have lost the first.
            others = told if process is chief else r"worker \d at host-[abc]:2222: "
            assert re.match(f"tfdqn: {who} has lost {others}[A-Za-z]", line), line
