"""`make_pools`: pools of equal machines that roles share, for platforms with fewer kinds of machines than roles."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from tfdqn.cluster.checks import check_topology
from tfdqn.cluster.placement import Machine, Machines, place, topology_on_machines
from tfdqn.cluster.program import PORT
from tfdqn.cluster.roles import TRAITS, Role, process_counts
from tfdqn.launch.manifests.job_spec import CONFIG_FILE, RUN_DIR, JobSpec, grace_seconds

_MOST_CPUS = 16  # of a machine, unless its processes need more


class Pool(Struct, frozen=True, kw_only=True):
    """A pool, whose machines are all as large as the one that needs most."""

    name: str
    roles: tuple[Role, ...]  # whose processes run there
    size: int  # how many machines
    cpus: int  # of each machine
    memory_gib: int
    gpus: int

    @property
    def keeps(self) -> bool:
        """Whether its processes keep files that must outlive the machine."""
        return any(TRAITS[role].keeps_files for role in self.roles)

    @property
    def grace_seconds(self) -> int:
        """The time in which all processes of a machine end, one role after another."""
        return sum(map(grace_seconds, self.roles))


def make_pools(spec: JobSpec, roles: Mapping[str, tuple[Role, ...]], *, is_spread: bool) -> list[Pool]:
    """The pools of a job, without those that would be empty.

    Args:
      roles: the roles of each pool by its name, in the order in which processes are assigned to machines.
      is_spread: whether a pool has at least as many machines as its rarest role has processes, or as few as possible.

    Raises ConfigError if the configuration can't be run by many processes.
    """
    counts = process_counts(spec.config, has_evaluator=spec.has_evaluator)
    present = {
        pool: tuple(role for role in every if counts[role])
        for pool, every in roles.items()
        if any(counts[role] for role in every)
    }
    sizes = {pool: _size(spec, {role: counts[role] for role in each}, is_spread) for pool, each in present.items()}
    placed = place(spec.config, present, sizes)
    addresses = {pool: tuple(f"{pool}-{i}:{PORT}" for i in range(size)) for pool, size in sizes.items()}
    machines = Machines(addresses=addresses, this=Machine(next(iter(present)), 0), origin="")
    check_topology(spec.config, topology_on_machines(spec.config, placed, machines))

    def fullest(pool: str, need: Callable[[Role], int]) -> int:
        """The largest need of any machine of the pool."""
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
        for pool, each in present.items()
    ]


def host_arguments(pools: list[Pool], config_file: str = CONFIG_FILE, run_dir: str = RUN_DIR) -> tuple[str, ...]:
    """The arguments of `tfdqn` with which every machine runs its share of the job."""
    of_pools = [("--pool", f"{pool.name}={','.join(pool.roles)}") for pool in pools]
    return ("host", config_file, "--run-dir", run_dir, *(word for each in of_pools for word in each))


def _size(spec: JobSpec, counts: Mapping[Role, int], is_spread: bool) -> int:
    """How many machines a pool has: one for each process with GPUs, else enough for `_MOST_CPUS` to do for each."""
    computing = [counts[role] for role in counts if spec.gpus_of(role)]
    if computing:
        return max(computing)
    cpus = sum(TRAITS[role].resources.cpus * count for role, count in counts.items())
    fewest = -(-cpus // _MOST_CPUS)
    return min(max(min(counts.values()) if is_spread else 1, fewest), max(counts.values()))
