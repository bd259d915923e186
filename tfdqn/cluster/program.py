"""`Program`: a job's processes as data: what each runs, where it is reached, whom it needs, when it is started again.

It is built before anything starts, and holds no path or address but those it is given.
"""

from collections.abc import Callable, Collection
from itertools import islice

from msgspec import Struct

from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.roles import LEARNER, ProcessId, Role, required_counts
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.errors import RESTART_STATUS
from tfdqn.system.addresses import LOOPBACK, free_addresses, host_and_port, is_free

# Whose service a role uses while it works. They start in any order; whom somebody needs is stopped after them.
NEEDS: dict[Role, tuple[Role, ...]] = {
    Role.ACTOR: (Role.LEARNER, Role.REPLAY_SERVER),
    Role.EVALUATOR: (Role.LEARNER,),
    Role.LEARNER: (Role.WORKER, Role.PARAMETER_SERVER, Role.REPLAY_SERVER),
    Role.WORKER: (Role.PARAMETER_SERVER, Role.REPLAY_SERVER),
    Role.PARAMETER_SERVER: (),
    Role.REPLAY_SERVER: (),
}

# On a host of its own, where everybody serves; and where the learner serves `tf.distribute`, besides.
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
        """Groups that are stopped one after the other: nobody in a group is needed by somebody in a later one."""
        left, order = list(self.processes), []
        while left:
            needed = {role for process in left for role in process.needs}
            group = [process for process in left if process.id.role not in needed]
            left = [process for process in left if process.id.role in needed]
            order.append(group)
        return order


def computes_gradients(config: Config, role: Role) -> bool:
    """Whether a role's processes do, and so are those to have a host's GPUs."""
    return role is Role.WORKER or (role is Role.LEARNER and config.learner.strategy != "parameter_server")


def run_arguments(
    role: Role, task: int | str, *, config_file: str, cluster_file: str, run_dir: str
) -> tuple[str, ...]:
    """A process's command line, after `tfdqn`; `task` may be what its host puts the index for."""
    where = ("--cluster", cluster_file, "--run-dir", run_dir)
    return ("run", str(role), config_file, "--task", str(task), *where)


def make_program(
    config: Config, topology: Topology, *, config_file: str, cluster_file: str, run_dir: str
) -> Program:
    """What each process of a topology runs. Raises ConfigError where the configuration can't be run by it.

    Args:
      config_file, cluster_file, run_dir: as the processes will find them.
    """
    check_topology(config, topology)

    def arguments(process_id: ProcessId) -> tuple[str, ...]:
        return run_arguments(
            process_id.role,
            process_id.index,
            config_file=config_file,
            cluster_file=cluster_file,
            run_dir=run_dir,
        )

    return Program(
        topology=topology,
        processes=tuple(
            Process(
                id=process_id,
                arguments=arguments(process_id),
                ports=_ports(topology, process_id),
                environment=_environment(config, process_id.role),
                needs=NEEDS[process_id.role],
            )
            for process_id in topology.process_ids()
        ),
    )


def _environment(config: Config, role: Role) -> dict[str, str | None]:
    """A `TF_CONFIG` would be another job's; and TensorFlow takes all of a GPU's memory for whoever sees it first."""
    return {"TF_CONFIG": None} | ({} if computes_gradients(config, role) else {"CUDA_VISIBLE_DEVICES": ""})


def local_topology(config: Config, *, has_evaluator: bool = True, kept: Topology | None = None) -> Topology:
    """A topology for `config` on this host: addresses as in `kept` where they are free, else new ones.

    Raises ClusterError where there aren't enough free ports.
    """
    counts = {role: count for role, (count, _) in required_counts(config).items()}
    before: dict[str, tuple[str, ...]] = {}
    if kept is not None:
        before = {role: getattr(kept, role) for role in _SERVERS}
        before |= {"learner": (kept.learner,), "chief": (kept.chief,) if kept.chief else ()}
    needed = {"learner": 1, "chief": 1 if counts[Role.WORKER] else 0}
    needed |= {role.value: counts[role] for role in _SERVERS}
    still = {
        name: tuple(
            each
            for each in before.get(name, ())[:count]
            if host_and_port(each)[0] == LOOPBACK and is_free(each)
        )
        for name, count in needed.items()
    }
    held = {address for addresses in still.values() for address in addresses}
    missing = sum(needed.values()) - len(held)
    new = iter(free_addresses(missing, avoid=held))
    every = {name: (*still[name], *islice(new, count - len(still[name]))) for name, count in needed.items()}
    return Topology(
        learner=every["learner"][0],
        chief=next(iter(every["chief"]), ""),
        **{role.value: every[role.value] for role in _SERVERS},
        actor=counts[Role.ACTOR],
        evaluator=int(has_evaluator),
    )


def topology_on_hosts(
    config: Config, host: Callable[[ProcessId], str], *, has_evaluator: bool = True
) -> Topology:
    """A topology for `config` where everybody who serves has a host, and so its ports, to itself.

    Args:
      host: the name by which the others find a process's host.
    """
    counts = {role: count for role, (count, _) in required_counts(config).items()}
    return Topology(
        learner=f"{host(LEARNER)}:{PORT}",
        chief=f"{host(LEARNER)}:{CHIEF_PORT}" if counts[Role.WORKER] else "",
        **{
            role.value: tuple(f"{host(ProcessId(role, index))}:{PORT}" for index in range(counts[role]))
            for role in _SERVERS
        },
        actor=counts[Role.ACTOR],
        evaluator=int(has_evaluator),
    )


_SERVERS = (Role.REPLAY_SERVER, Role.PARAMETER_SERVER, Role.WORKER)


def _ports(topology: Topology, process_id: ProcessId) -> tuple[int, ...]:
    if process_id.role in (Role.ACTOR, Role.EVALUATOR):
        return ()
    addresses = [topology.address(process_id)]
    if process_id.role is Role.LEARNER and topology.chief:
        addresses.append(topology.chief)
    return tuple(host_and_port(address)[1] for address in addresses)
