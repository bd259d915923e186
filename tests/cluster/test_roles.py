"""The table of roles: each has its row, and all that reads the table finds what it needs there."""

from importlib.util import find_spec
from typing import get_origin, get_type_hints

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.cluster.checks import check_topology, cluster_for
from tfdqn.cluster.program import local_topology, make_program
from tfdqn.cluster.roles import LEARNER, TRAITS, ProcessId, Role, process_counts, serving
from tfdqn.cluster.tf_config import tensorflow_jobs
from tfdqn.cluster.topology import Topology
from tfdqn.launch.manifests.job_spec import grace_seconds

RS, L, PS, W, A, E = Role
ASYNCHRONOUS = ("learner.strategy=parameter_server", "learner.parameter_servers=2", "learner.workers=3")
ENSEMBLE = ("ensemble.size=3", "ensemble.execution=processes")
AVERAGING = ("learner.strategy=averaging", "learner.averaging_period_train_steps=5")
WAYS = [
    (("replay.shards=2",), {}, {RS: 2, L: 1, PS: 0, W: 0, A: 4, E: 1}),
    (("learner.strategy=mirrored",), {}, {RS: 1, L: 1, PS: 0, W: 0, A: 4, E: 1}),
    (("learner.strategy=multi_worker",), {"worker": 2}, {RS: 1, L: 1, PS: 0, W: 1, A: 4, E: 1}),
    (AVERAGING, {"worker": 2}, {RS: 1, L: 1, PS: 0, W: 1, A: 4, E: 1}),
    (ASYNCHRONOUS, {"chief": 1, "worker": 3, "ps": 2}, {RS: 1, L: 1, PS: 2, W: 3, A: 4, E: 1}),
    (ENSEMBLE, {"worker": 3}, {RS: 3, L: 1, PS: 0, W: 2, A: 4, E: 1}),
]


@pytest.mark.parametrize("role", Role)
def test_every_role_has_a_row_a_file_and_a_place_in_a_topology(role: Role) -> None:
    traits = TRAITS[role]
    assert find_spec(f"tfdqn.roles.{role}") is not None
    field = get_type_hints(Topology)[role]
    assert (field is str or get_origin(field) is tuple) == traits.serves
    assert all(TRAITS[each].serves for each in traits.needs)
    assert bool(traits.evictable) <= traits.holds_state <= traits.serves
    assert grace_seconds(role) > traits.grace_seconds > 0
    assert traits.count(tiny()).number == process_counts(tiny())[role]


def test_who_is_needed_is_stopped_later() -> None:
    config = tiny(*ASYNCHRONOUS)
    program = make_program(
        config, local_topology(config), config_file="c.toml", cluster_file="cluster.json", run_dir="run"
    )
    stopped = [{process.id.role for process in group} for group in program.stop_order()]
    assert sum(map(len, stopped)) == len(Role) == len(TRAITS)
    for role in Role:
        turn = [role in group for group in stopped].index(True)
        assert not any(each in group for group in stopped[: turn + 1] for each in TRAITS[role].needs)


@pytest.mark.parametrize(("overrides", "jobs", "counts"), WAYS)
def test_a_strategy_asks_for_the_same_processes_wherever_it_is_asked(
    overrides: tuple[str, ...], jobs: dict[str, int], counts: dict[Role, int]
) -> None:
    config = tiny("acting.actors=4", *overrides)
    assert (tensorflow_jobs(config), process_counts(config)) == (jobs, counts)
    assert process_counts(config, has_evaluator=False) == {**counts, Role.EVALUATOR: 0}
    topology = local_topology(config)
    check_topology(config, topology)
    cluster = topology.sub_cluster(config, LEARNER)
    assert cluster_for(config, cluster) is cluster
    assert (cluster.counts if cluster else {}) == jobs
    assert bool(topology.chief) == bool(jobs)


def test_the_roles_that_serve_have_addresses_and_the_learner_a_second_one() -> None:
    topology = local_topology(tiny(*ASYNCHRONOUS))
    assert serving() == [RS, L, PS, W]
    assert {role: len(topology.addresses(ProcessId(role))) for role in Role} == {RS: 1, L: 2, PS: 1, W: 1, A: 0, E: 0}
    assert topology.named_addresses()["the chief"] == topology.chief
