"""`Program`: the commands, dependencies and restart rules of a job's processes, as data.

It is built before anything starts, only from given paths and addresses.
"""

from collections.abc import Callable, Collection

from msgspec import Struct

from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.roles import LEARNER, TRAITS, ProcessId, Role, process_counts, serving
from tfdqn.cluster.topology import THE_CHIEF, Topology, make_topology
from tfdqn.config import Config
from tfdqn.errors import RESTART_STATUS
from tfdqn.system.addresses import free_addresses, still_free
from tfdqn.system.processors import NONE_VISIBLE

# The port of a process on a host of its own, and the learner's second one, for `tf.distribute`.
PORT, CHIEF_PORT = 2222, 2223

# The exit statuses after which a process is never restarted (finished; an error that only the user can fix), and those
# after which it is restarted at once; after any other, it is restarted after a growing pause.
NEVER_AFTER, AT_ONCE_AFTER = (0, 2), (RESTART_STATUS,)
FAILURES_IN_A_ROW = 5  # how often it may fail before it begins to work until it is given up


class Process(Struct, frozen=True, kw_only=True):
    """One process of a job."""

    id: ProcessId
    arguments: tuple[str, ...]  # after `tfdqn`
    environment: dict[str, str | None] = {}  # variables to set; None: to remove
    needs: tuple[Role, ...] = ()


class Program(Struct, frozen=True, kw_only=True):
    """Every process of a job, in the order of the roles."""

    topology: Topology
    processes: tuple[Process, ...]

    def share(self, process_ids: Collection[ProcessId]) -> "Program":
        """The part of the program that one of several supervisors runs."""
        processes = tuple(process for process in self.processes if process.id in process_ids)
        return Program(topology=self.topology, processes=processes)

    def stop_order(self) -> list[list[Process]]:
        """Groups of processes in the order in which they are stopped: each group before those that it needs."""
        left, order = list(self.processes), []
        while left:
            needed = {role for process in left for role in process.needs}
            group = [process for process in left if process.id.role not in needed]
            left = [process for process in left if process.id.role in needed]
            order.append(group)
        return order


def run_arguments(
    role: Role, index: int | str, *, config_file: str, cluster_file: str, run_dir: str
) -> tuple[str, ...]:
    """A process's arguments after `tfdqn`; `index` is its index, or a placeholder that the platform replaces by it."""
    where = ("--cluster", cluster_file, "--run-dir", run_dir)
    return ("run", str(role), config_file, "--index", str(index), *where)


def make_program(config: Config, topology: Topology, *, config_file: str, cluster_file: str, run_dir: str) -> Program:
    """Makes the program of a topology; the paths are as its processes see them.

    Raises ConfigError if the topology can't run the configuration.
    """
    check_topology(config, topology)
    return Program(
        topology=topology,
        processes=tuple(
            Process(
                id=each,
                arguments=run_arguments(
                    each.role, each.index, config_file=config_file, cluster_file=cluster_file, run_dir=run_dir
                ),
                environment=_environment(config, each.role),
                needs=TRAITS[each.role].needs,
            )
            for each in topology.process_ids()
        ),
    )


def _environment(config: Config, role: Role) -> dict[str, str | None]:
    """Removes `TF_CONFIG`, which may be another job's, and hides GPUs from roles that don't need any.

    TensorFlow would allocate memory on every GPU that it sees.
    """
    return {"TF_CONFIG": None} | ({} if TRAITS[role].computes_gradients(config) else NONE_VISIBLE)


def local_topology(config: Config, *, has_evaluator: bool = True, kept: Topology | None = None) -> Topology:
    """Makes a topology for `config` on this host. Keeps the addresses of `kept` that are free; the others are new.

    While there are enough, no other launch on this host is given any of them until this process has ended.

    Raises ClusterError if there aren't enough free ports.
    """
    counts = process_counts(config, has_evaluator=has_evaluator)
    names = [str(ProcessId(role, index)) for role in serving() for index in range(counts[role])]
    names += [THE_CHIEF] if counts[Role.WORKER] else []
    before = {} if kept is None else kept.named_addresses()
    wanted = {name: before[name] for name in names if name in before}
    free = still_free(wanted.values())
    still = {name: address for name, address in wanted.items() if address in free}
    new = iter(free_addresses(len(names) - len(still), avoid=free))
    every = {name: still.get(name) or next(new) for name in names}
    return make_topology(counts, lambda process_id: every[str(process_id)], every.get(THE_CHIEF, ""))


def topology_on_hosts(config: Config, host: Callable[[ProcessId], str], *, has_evaluator: bool = True) -> Topology:
    """Makes a topology for `config` in which every serving process has its own host, on which all ports are free.

    `host` gives the name of a process's host, by which the other processes reach it.
    """
    counts = process_counts(config, has_evaluator=has_evaluator)
    return make_topology(counts, lambda each: f"{host(each)}:{PORT}", f"{host(LEARNER)}:{CHIEF_PORT}")
