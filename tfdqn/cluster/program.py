"""`Program`: a job's processes as data: what each runs, where it is reached, whom it needs, when it is started again.

It is built before anything starts, and holds no path or address but those it is given.
"""

from collections.abc import Callable, Collection

from msgspec import Struct

from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.roles import LEARNER, TRAITS, ProcessId, Role, process_counts, serving
from tfdqn.cluster.topology import THE_CHIEF, Topology, make_topology
from tfdqn.config import Config
from tfdqn.errors import RESTART_STATUS
from tfdqn.system.addresses import LOOPBACK, free_addresses, host_and_port, is_free
from tfdqn.system.gpus import NONE_VISIBLE

# Where a process has a host to itself: its port, and the learner's second one, for `tf.distribute`.
PORT, CHIEF_PORT = 2222, 2223


class Restart(Struct, frozen=True, kw_only=True):
    """By which exit statuses a process is started again; by every other it is, too, after a pause that grows."""

    never: tuple[int, ...] = (0, 2)  # done; a mistake that only the user can mend
    at_once: tuple[int, ...] = (RESTART_STATUS,)
    failures_in_a_row: int = 5  # without having got to its work: then it is given up


class Process(Struct, frozen=True, kw_only=True):
    """One process of a job."""

    id: ProcessId
    arguments: tuple[str, ...]  # after `tfdqn`
    ports: tuple[int, ...] = ()  # that it serves
    environment: dict[str, str | None] = {}  # to set; None: to leave out
    needs: tuple[Role, ...] = ()
    restart: Restart = Restart()


class Program(Struct, frozen=True, kw_only=True):
    """Every process of a job, in the order of the roles."""

    topology: Topology
    processes: tuple[Process, ...]

    def share(self, process_ids: Collection[ProcessId]) -> "Program":
        """What one of several supervisors runs of it."""
        processes = tuple(process for process in self.processes if process.id in process_ids)
        return Program(topology=self.topology, processes=processes)

    def stop_order(self) -> list[list[Process]]:
        """Groups that are stopped one after the other: no process is needed by one of a later group."""
        left, order = list(self.processes), []
        while left:
            needed = {role for process in left for role in process.needs}
            group = [process for process in left if process.id.role not in needed]
            left = [process for process in left if process.id.role in needed]
            order.append(group)
        return order


def run_arguments(role: Role, task: int | str, *, config_file: str, cluster_file: str, run_dir: str) -> tuple[str, ...]:
    """A process's command line, after `tfdqn`; `task` may be what its host puts the index for."""
    where = ("--cluster", cluster_file, "--run-dir", run_dir)
    return ("run", str(role), config_file, "--task", str(task), *where)


def make_program(config: Config, topology: Topology, *, config_file: str, cluster_file: str, run_dir: str) -> Program:
    """What each process of a topology runs. Raises ConfigError where the configuration can't be run by it.

    Args:
      config_file, cluster_file, run_dir: as the processes will find them.
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
                ports=tuple(host_and_port(address)[1] for address in topology.addresses(each)),
                environment=_environment(config, each.role),
                needs=TRAITS[each.role].needs,
            )
            for each in topology.process_ids()
        ),
    )


def _environment(config: Config, role: Role) -> dict[str, str | None]:
    """A `TF_CONFIG` would be another job's; and TensorFlow takes some memory of every GPU that it sees."""
    return {"TF_CONFIG": None} | ({} if TRAITS[role].computes_gradients(config) else NONE_VISIBLE)


def local_topology(config: Config, *, has_evaluator: bool = True, kept: Topology | None = None) -> Topology:
    """A topology for `config` on this host: addresses as in `kept` where they are free, else new ones.

    Raises ClusterError where there aren't enough free ports.
    """
    counts = process_counts(config, has_evaluator=has_evaluator)
    names = [str(ProcessId(role, index)) for role in serving() for index in range(counts[role])]
    names += [THE_CHIEF] if counts[Role.WORKER] else []
    before = {} if kept is None else kept.named_addresses()
    still = {
        name: before[name]
        for name in names
        if name in before and host_and_port(before[name])[0] == LOOPBACK and is_free(before[name])
    }
    new = iter(free_addresses(len(names) - len(still), avoid=set(still.values())))
    every = {name: still[name] if name in still else next(new) for name in names}
    return make_topology(counts, lambda process_id: every[str(process_id)], every.get(THE_CHIEF, ""))


def topology_on_hosts(config: Config, host: Callable[[ProcessId], str], *, has_evaluator: bool = True) -> Topology:
    """A topology for `config` where every process that serves has a host, and so its ports, to itself.

    Args:
      host: the name by which the others find a process's host.
    """
    counts = process_counts(config, has_evaluator=has_evaluator)
    return make_topology(counts, lambda each: f"{host(each)}:{PORT}", f"{host(LEARNER)}:{CHIEF_PORT}")
