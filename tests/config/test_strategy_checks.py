"""What can't be split over devices, shared by processes or summed is refused in one sentence."""

import pytest

from tests.config.test_checks import refusal
from tfdqn.config.toml import from_mapping

MEMBERS_APART = ("ensemble.size=3", "ensemble.execution=processes")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("network.layer_norm=true", "network.layer_norm = true"),
        ("network.noisy=true", "network.noisy = true"),
        ("network.kind=impala", 'network.kind = "impala"'),
    ],
)
def test_what_cannot_be_split_is_refused_before_anything_starts(override: str, told: str) -> None:
    line = refusal(override, "learner.model_parallel=2")
    assert line.startswith(f"override: {told} with learner.model_parallel = 2: ")
    assert "can't be split over devices" in line


def test_a_dueling_network_can_be_split() -> None:
    config = from_mapping({}, ["network.dueling=true", "learner.model_parallel=2"])
    assert config.learner.model_parallel == 2


@pytest.mark.parametrize(
    ("key", "given", "only"),
    [
        ("learner.strategy", "mirrored", "local"),
        ("ensemble.target", "aggregate", "own"),
        ("replay.backend", "in_graph", "reverb"),
        ("replay.item", "frames", "block"),
    ],
)
def test_members_in_processes_share_nothing(key: str, given: str, only: str) -> None:
    from_mapping({}, [*MEMBERS_APART, f"{key}={only}"])
    assert refusal(*MEMBERS_APART, "task.frame_stack=4", f"{key}={given}") == (
        f'override: ensemble.execution = "processes" needs {key} = "{only}", not "{given}"'
    )


@pytest.mark.parametrize(
    ("overrides", "needed"),
    [
        (["learner.strategy=averaging"], 'learner.strategy = "local" or "mirrored", not averaging'),
        (["learner.model_parallel=2"], "learner.model_parallel = 1, not 2"),
        (["replay.backend=in_graph"], 'replay.backend = "reverb", not in_graph'),
        (MEMBERS_APART, 'ensemble.execution = "batched", not processes'),
    ],
    ids=str,
)
def test_only_plain_networks_in_this_process_fetch_ahead(overrides: list[str], needed: str) -> None:
    from_mapping({}, ["learner.prefetch_to_device=true", "learner.strategy=mirrored"])
    assert refusal("learner.prefetch_to_device=true", *overrides) == (
        f"override: learner.prefetch_to_device = true needs {needed}"
    )


def test_networks_in_pieces_are_summed_in_their_own_way() -> None:
    mesh = ["learner.strategy=mirrored", "learner.model_parallel=2"]
    from_mapping({}, [*mesh, "learner.all_reduce=auto"])
    assert refusal(*mesh, "learner.all_reduce=nccl") == (
        'override: learner.all_reduce = "nccl" with learner.strategy = "mirrored" and learner.model_parallel = 2: '
        'must be "auto"'
    )


@pytest.mark.parametrize(
    ("network", "line"),
    [
        # Split by units, by inputs, and by units.
        ("network.hidden_units=[3,1,4]", "network.hidden_units = [3, 1, 4]: a layer of 3 units can't be split"),
        ("network.hidden_units=[]", "network.hidden_units = []: there is no hidden layer to split"),
        ("network.kind=linear", 'network.kind = "linear": there is no hidden layer to split'),
    ],
)
def test_what_has_no_units_for_every_device_is_not_split(network: str, line: str) -> None:
    from_mapping({}, ["network.hidden_units=[4,1,4]", "learner.model_parallel=4"])
    expected = f"override: {line} over learner.model_parallel = 4 devices"
    assert refusal(network, "learner.model_parallel=4") == expected
