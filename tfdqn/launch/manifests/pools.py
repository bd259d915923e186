"""Pools of like machines, for platforms that know fewer kinds of them than a job has roles: roles share one."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.placement import Machine, Machines, place, topology_on_machines
from tfdqn.cluster.program import PORT
from tfdqn.cluster.roles import TRAITS, Role, process_counts
from tfdqn.launch.manifests.job_spec import CONFIG_FILE, RUN_DIR, JobSpec, grace_seconds

_MOST_CPUS = 16  # of a machine, if it can be helped


class Pool(Struct, frozen=True, kw_only=True):
    """How many machines a pool has, and what each must have room for: the fullest."""

    name: str
    roles: tuple[Role, ...]
    size: int
    cpus: int
    memory_gib: int
    gpus: int

    @property
    def keeps(self) -> bool:
        """Whether something is kept there that must outlive the machine."""
        return any(TRAITS[role].keeps_files for role in self.roles)

    @property
    def grace_seconds(self) -> int:
        """Until all of a machine's processes have ended in order."""
        return sum(map(grace_seconds, self.roles))


def make_pools(spec: JobSpec, roles: Mapping[str, tuple[Role, ...]], *, is_spread: bool) -> list[Pool]:
    """The pools that a job needs, without those that would be empty.

    Args:
      roles: that share a pool, by its name; the machines' processes are dealt out in this order.
      is_spread: no pool has fewer machines than there are processes of its rarest role; else as few as there can be.

    Raises ConfigError if the configuration can't be run by many processes.
    """
    counts = process_counts(spec.config, has_evaluator=spec.has_evaluator)
    there = {
        pool: tuple(role for role in every if counts[role])
        for pool, every in roles.items()
        if any(counts[role] for role in every)
    }
    sizes = {pool: _size(spec, {role: counts[role] for role in each}, is_spread) for pool, each in there.items()}
    placed = place(spec.config, there, sizes)
    addresses = {pool: tuple(f"{pool}-{i}:{PORT}" for i in range(size)) for pool, size in sizes.items()}
    machines = Machines(addresses=addresses, this=Machine(next(iter(there)), 0), origin="")
    check_topology(spec.config, topology_on_machines(spec.config, placed, machines))

    def fullest(pool: str, need: Callable[[Role], int]) -> int:
        """What the machine of the pool that needs most of it needs."""
        return max(sum(need(each.role) for each in placed[machine]) for machine in placed if machine.pool == pool)

    return [
        Pool(
            name=pool,
            roles=each,
            size=sizes[pool],
            cpus=fullest(pool, lambda role: TRAITS[role].resources.cpus),
            memory_gib=fullest(pool, lambda role: TRAITS[role].resources.memory_gib),
            gpus=fullest(pool, spec.gpus_of),
        )
        for pool, each in there.items()
    ]


def host_arguments(pools: list[Pool], config_file: str = CONFIG_FILE, run_dir: str = RUN_DIR) -> tuple[str, ...]:
    """After `tfdqn`: what every machine runs."""
    of_pools = [("--pool", f"{pool.name}={','.join(pool.roles)}") for pool in pools]
    return ("host", config_file, "--run-dir", run_dir, *(word for each in of_pools for word in each))


def _size(spec: JobSpec, counts: Mapping[Role, int], is_spread: bool) -> int:
    """As many machines as there are processes that compute on GPUs; else so many that none need be very large."""
    computing = [counts[role] for role in counts if spec.gpus_of(role)]
    if computing:
        return max(computing)
    cpus = sum(TRAITS[role].resources.cpus * count for role, count in counts.items())
    fewest = -(-cpus // _MOST_CPUS)
    return min(max(min(counts.values()) if is_spread else 1, fewest), max(counts.values()))
