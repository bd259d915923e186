"""Placement: which of a job's processes run on which machine, on platforms that have pools of equal machines.

The platform lists the machines, and says which one this is, in Kubeflow's `TF_CONFIG` or Vertex AI's `CLUSTER_SPEC`.
The job says which roles each pool runs. From these, every machine computes the same topology.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

from msgspec import Struct

from tfdqn.cluster.roles import LEARNER, TRAITS, ProcessId, Role, counted, process_counts
from tfdqn.cluster.topology import Topology, make_topology
from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.system.addresses import check_addresses, host_and_port, with_host

_LAST_PORT = 65535
_KUBEFLOW_EVALUATOR = ("evaluator", Role.EVALUATOR)  # the pool that Kubeflow has, and never lists

Pools = Mapping[str, tuple[Role, ...]]  # a pool's name → the roles that its machines run


class Machine(Struct, frozen=True, order=True):
    """One machine, by its pool and its index in that."""

    pool: str
    index: int

    def __str__(self) -> str:
        return f"{self.pool}-{self.index}"


class Machines(Struct, frozen=True, kw_only=True):
    """The machines of a job, as the platform describes them."""

    addresses: dict[str, tuple[str, ...]]  # a pool's name → "host:port" of each of its machines
    this: Machine
    origin: str  # the variable that lists them, for errors

    def sizes(self, pools: Pools) -> dict[str, int]:
        """The number of machines in each pool.

        Kubeflow does not list evaluators, so a pool without serving roles may be missing or empty, and then counts as
        one machine.

        Raises ConfigError if there is no pool, one with a serving role has no machine, or this machine is in none.
        """
        listed = ", ".join(self.addresses) or "none"
        if not pools:
            raise ConfigError(
                f"--pool POOL=ROLE,... is needed for each pool, to say which roles its machines run; "
                f"{self.origin} has these pools: {listed}"
            )
        sizes = {}
        for pool, roles in pools.items():
            if not self.addresses.get(pool) and any(TRAITS[role].serves for role in roles):
                raise ConfigError(f"{self.origin} names no machine of pool {pool!r}; its pools: {listed}")
            sizes[pool] = len(self.addresses.get(pool, ())) or 1
        if not 0 <= self.this.index < sizes.get(self.this.pool, 0):
            raise ConfigError(
                f"{self.origin} makes this machine {self.this}: the job's pools are "
                + ", ".join(f"{pool} (of {size})" for pool, size in sizes.items())
            )
        return sizes


def read_pools(texts: Sequence[str]) -> dict[str, tuple[Role, ...]]:
    """Reads pools from texts such as "worker=worker,actor". Raises ConfigError."""
    pools: dict[str, tuple[Role, ...]] = {}
    for text in texts:
        pool, _, names = text.partition("=")
        if not pool or not names or pool in pools:
            raise ConfigError(f"--pool {text}: must be POOL=ROLE,ROLE…, each pool once")
        unknown = [name for name in names.split(",") if name not in list(Role)]
        if unknown:
            raise ConfigError(f"--pool {text}: {unknown[0]!r} is not a role: {', '.join(Role)}")
        pools[pool] = tuple(map(Role, names.split(",")))
    return pools


def place(config: Config, pools: Pools, sizes: Mapping[str, int]) -> dict[Machine, tuple[ProcessId, ...]]:
    """Assigns processes to machines: those of each role go to the machines of its pool in turn.

    `sizes` are the pools' numbers of machines. Raises ConfigError if a role that the job has is in no pool, or in two.
    """
    counts = process_counts(config)
    placed = [role for roles in pools.values() for role in roles]
    for role, number in counts.items():
        if placed.count(role) > 1 or (number and role not in placed and role is not Role.EVALUATOR):
            where = "two pools" if role in placed else "no pool"
            raise ConfigError(f"{role} is in {where}: each role that the job has must be in one")
    dealt: dict[Machine, list[ProcessId]] = {Machine(pool, i): [] for pool, size in sizes.items() for i in range(size)}
    for pool, roles in pools.items():
        for process_id in (ProcessId(role, i) for role in roles for i in range(counts[role])):
            dealt[Machine(pool, process_id.index % sizes[pool])].append(process_id)
    return {machine: tuple(process_ids) for machine, process_ids in dealt.items()}


def pool_warnings(config: Config, pools: Pools, machines: Machines) -> list[str]:
    """One line for each mistake in the pools with which a job can start, but not as it was meant."""
    counts = process_counts(config)
    known = (*machines.addresses, machines.this.pool)
    lines = []
    for pool, roles in pools.items():
        given = f"--pool {pool}={','.join(roles)}"
        if not any(counts[role] for role in roles):
            none = " and ".join(counted(0, role) for role in roles)
            lines.append(f"{given}: nothing runs there, as the configuration has {none}")
        elif pool not in known and (pool, *roles) != _KUBEFLOW_EVALUATOR:
            listed = ", ".join(machines.addresses)
            lines.append(f"{given}: {machines.origin} lists no such pool (only {listed}); taken for one machine")
    unused = [pool for pool, addresses in machines.addresses.items() if addresses and pool not in pools]
    lines += [f"no --pool for {pool}: nothing runs there" for pool in unused]
    if not any(Role.EVALUATOR in roles for roles in pools.values()):
        lines.append("no --pool has the role evaluator: the policy is not evaluated while it is trained")
    return lines


def topology_on_machines(
    config: Config, placed: Mapping[Machine, tuple[ProcessId, ...]], machines: Machines
) -> Topology:
    """Makes the topology: the serving processes of a machine get its port and the following ones, in order.

    Raises ConfigError if there are not enough ports, or if some machines can't reach the others.
    """
    found: dict[ProcessId, str] = {}
    chief = ""
    for machine, process_ids in placed.items():
        serving = [each for each in process_ids if TRAITS[each.role].serves]
        if not serving:
            continue
        host, first = host_and_port(machines.addresses[machine.pool][machine.index])
        ports = count(first)
        for process_id in serving:
            found[process_id] = with_host(next(ports), host)
            if process_id == LEARNER:
                chief = with_host(next(ports), host)
        if (after := next(ports)) - 1 > _LAST_PORT:
            raise ConfigError(f"{machines.origin}: {machine} has no {after - first} ports from {first} on")
    counts = Counter(process_id.role for process_ids in placed.values() for process_id in process_ids)
    topology = make_topology(counts, found.__getitem__, chief)
    check_addresses(topology.named_addresses(), machines.origin)
    return topology
