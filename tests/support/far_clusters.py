"""Clusters of `TF_CONFIG` whose every process is a `tfdqn train` on a host of its own, which nobody starts again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.commands import Tfdqn, tfdqn
from tests.support.network_namespaces import Network
from tests.support.tiny_runs import lines
from tfdqn.system.addresses import host_and_port

TINY_RUN = ("train", "tiny.toml", "--run-dir", "run")
SERVED = {"chief": ["host-a:2222"], "worker": ["host-b:2222"], "ps": ["host-c:2222"]}
LOCKSTEP = {"worker": ["host-a:2222", "host-b:2222", "host-c:2222"]}


@contextmanager
def started(
    folder: Path, hosts: Network, jobs: Mapping[str, Sequence[str]], names: Mapping[str, str], *arguments: str
) -> Iterator[dict[tuple[str, int], Tfdqn]]:
    """The same command as every task of a cluster, the chief last, each on a host of its own.

    Args:
      folder: where they run, as on storage that all hosts share; the chief alone leaves a run there.
      jobs: `TF_CONFIG`'s cluster.
      names: the host of an address's host.
    """
    tasks = [(job, index) for job, addresses in jobs.items() for index in range(len(addresses))]
    with ExitStack() as stack:
        processes = {}
        for job, index in reversed(tasks):
            config = json.dumps({"cluster": jobs, "task": {"type": job, "index": index}})
            name = names[host_and_port(jobs[job][index])[0]]
            below = hosts.command_with_names(name, folder / f"{name}.hosts")
            process = tfdqn(folder, *arguments, environment={"TF_CONFIG": config}, below=below)
            processes[job, index] = stack.enter_context(process)
        yield processes


def learning_chief(processes: Mapping[tuple[str, int], Tfdqn], run: Path) -> Tfdqn:
    """The chief of those `started`, once it has made updates."""
    *_, chief = processes.values()
    metrics = run / "metrics.jsonl"
    chief.until(lambda: metrics.exists() and any(line["train_steps"] > 0 for line in lines(metrics)), "learning")
    return chief
