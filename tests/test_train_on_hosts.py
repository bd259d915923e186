"""`tfdqn train` by `TF_CONFIG` on hosts with addresses of their own, where loopback leads nobody to another.

Only root can make such hosts; elsewhere these tests are skipped.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hosts import Network, network
from tests.parallelism_page import TINY, Command, commands
from tests.processes import PROJECT, counters, tfdqn, write_config
from tfdqn.addresses import host_and_port

TRAIN_SECONDS = 300.0  # on a busy machine
TINY_RUN = ("train", "tiny.toml", "--run-dir", "run")
MULTI_WORKER = "learner.strategy=multi_worker"


def learns(
    folder: Path, hosts: Network, jobs: Mapping[str, Sequence[str]], names: Mapping[str, str], *arguments: str
) -> None:
    """The same command as every task of a cluster, the chief last, each on a host of its own: all come to their end.

    Args:
      folder: where they run, as on storage that all hosts share; the chief alone leaves a run there.
      jobs: `TF_CONFIG`'s cluster.
      names: the host of an address's host.
    """
    tasks = [(job, index) for job, addresses in jobs.items() for index in range(len(addresses))]
    with ExitStack() as stack:
        processes = []
        for job, index in reversed(tasks):
            config = json.dumps({"cluster": jobs, "task": {"type": job, "index": index}})
            name = names[host_and_port(jobs[job][index])[0]]
            started = tfdqn(
                folder,
                *arguments,
                environment={"TF_CONFIG": config},
                below=hosts.command_with_names(name, folder / f"{name}.hosts"),
            )
            processes.append(stack.enter_context(started))
        for process in processes:
            assert process.ended_within(TRAIN_SECONDS), process.out
            assert process.ended() == 0, process.err
            assert process.err == ""
    assert counters(folder / "run").train_steps >= 50


def test_two_workers_in_step_learn_from_the_chief_s_replay_each_on_a_host_of_its_own(tmp_path: Path) -> None:
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
        arguments = (*command.arguments, *TINY, "--run-dir", "run")
        learns(tmp_path, hosts, jobs, dict(zip(names, names, strict=True)), *arguments)
