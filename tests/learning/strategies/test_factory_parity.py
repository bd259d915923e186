"""Each strategy gives the weights, targets and slots of plain local training, after twenty updates with clipping on,
unequal importance weights and target updates."""

import pytest

from tests.support.parity_runs import largest_difference


@pytest.mark.parametrize(
    "arguments",
    [
        ["4", "sgd", "on", "one_device"],
        ["2", "adam", "off", "hierarchical_copy", "1", "2"],  # every replica fetches its own part
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in (
                ["2", "adam", "off"],  # short: an ensemble, a memory and distributions
                ["4", "sgd", "on"],
                ["2", "adam", "off", "one_device"],
                ["2", "adam", "off", "hierarchical_copy"],
                ["2", "adam", "off", "auto", "1", "2"],
            )
        ),
    ],
    ids=" ".join,
)
def test_mirrored_equals_local(arguments: list[str]) -> None:
    """However gradients are summed."""
    assert largest_difference("mirrored", *arguments) < 1e-5


@pytest.mark.parametrize(("optimizer", "xla"), [("adam", "off"), pytest.param("sgd", "on", marks=pytest.mark.long)])
def test_multi_worker_equals_local(optimizer: str, xla: str) -> None:
    assert largest_difference("multi_worker", "2", optimizer, xla) < 1e-5


@pytest.mark.parametrize(
    ("servers", "optimizer", "xla"),
    [
        (1, "adam", "on"),  # by two servers: an ensemble
        *(pytest.param(2, each, "off", marks=pytest.mark.long) for each in ("sgd", "rmsprop")),
    ],
)
def test_one_asynchronous_worker_equals_local(servers: int, optimizer: str, xla: str) -> None:
    assert largest_difference("parameter_server", str(servers), optimizer, xla) < 1e-5


@pytest.mark.parametrize(("units", "xla"), [pytest.param(2, "off", marks=pytest.mark.long), (4, "on")])
def test_averaging_after_every_update_equals_synchronous_sgd(units: int, xla: str) -> None:
    assert largest_difference("averaging", str(units), "sgd", xla) < 1e-5


@pytest.mark.parametrize(("optimizer", "xla"), [("adam", "off"), pytest.param("sgd", "on", marks=pytest.mark.long)])
def test_units_in_processes_of_their_own_equal_the_batched_ensemble(optimizer: str, xla: str) -> None:
    """From the same initial weights, too; each unit's gradient is clipped by its own norm."""
    assert largest_difference("units", "3", optimizer, xla) < 1e-5


@pytest.mark.parametrize("way", ["mirrored", "parameter_server"])
def test_an_ensemble_by_a_strategy_equals_an_ensemble_alone(way: str) -> None:
    assert largest_difference(way, "2", "adam", "off", "auto", "3") < 1e-5


@pytest.mark.parametrize(
    "arguments",
    [
        ["mesh", "2", "adam"],
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in (
                ["mirrored", "2", "adam", "off"],
                ["mirrored", "2", "sgd", "on", "auto", "3"],  # an ensemble
                ["multi_worker", "2", "sgd", "on"],
                ["parameter_server", "2", "adam", "off"],
                ["averaging", "2", "sgd", "off"],
                ["units", "3", "adam", "off"],
            )
        ),
    ],
    ids=" ".join,
)
def test_branches_by_a_strategy_equal_them_alone(arguments: list[str]) -> None:
    """Of dimensions that differ in their numbers of actions; in all but the last, dueling."""
    network = {"dueling": True} if arguments[0] != "units" else {}
    assert largest_difference(*arguments, network=network, actions=[3, 5, 2]) < 1e-5


@pytest.mark.long
@pytest.mark.parametrize("way", ["mirrored", "averaging"])
def test_branches_with_a_memory_by_a_strategy_equal_them_alone(way: str) -> None:
    network = {"memory": "gru", "memory_units": 6, "dueling": True}
    assert largest_difference(way, "2", "sgd", "off", network=network, actions=[3, 5, 2]) < 1e-5


@pytest.mark.long  # of its targets on quantiles, below
@pytest.mark.parametrize(
    "arguments",
    [
        ["mirrored", "2", "adam", "off"],
        ["mirrored", "2", "sgd", "off", "auto", "3"],  # an ensemble
        ["multi_worker", "2", "sgd", "on"],
        ["parameter_server", "1", "adam", "on"],
        ["averaging", "2", "sgd", "off"],
        ["units", "3", "adam", "off"],
        ["mesh", "2", "adam"],
    ],
    ids=" ".join,
)
def test_munchausen_dqn_by_a_strategy_equals_it_alone(arguments: list[str]) -> None:
    assert largest_difference(*arguments, agent={"kind": "munchausen"}) < 1e-5


@pytest.mark.long  # of noisy layers with dueling and quantiles, below
@pytest.mark.parametrize(
    "arguments",
    [
        ["mirrored", "2", "adam", "off"],
        ["mirrored", "4", "sgd", "on"],
        ["multi_worker", "2", "adam", "off"],
        ["parameter_server", "1", "sgd", "off"],
        ["averaging", "2", "sgd", "off"],
    ],
    ids=" ".join,
)
def test_noise_is_the_same_whatever_strategy_divides_the_batch(arguments: list[str]) -> None:
    network = {"noisy": True, "dueling": True, "layer_norm": True}
    assert largest_difference(*arguments, network=network) < 1e-5


@pytest.mark.parametrize(
    "arguments",
    [
        ["mirrored", "2", "adam", "off"],
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in (
                ["averaging", "2", "sgd", "off"],
                ["multi_worker", "2", "sgd", "on"],
                ["parameter_server", "1", "adam", "on"],
            )
        ),
    ],
    ids=" ".join,
)
def test_a_memory_that_learns_by_a_strategy_equals_one_alone(arguments: list[str]) -> None:
    assert largest_difference(*arguments, network={"memory": "lstm", "memory_units": 6}) < 1e-5


@pytest.mark.parametrize(
    "arguments",
    [
        ["mirrored", "2", "adam", "off"],
        ["parameter_server", "2", "sgd", "on"],
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in (
                ["mirrored", "4", "sgd", "on", "one_device"],
                ["mirrored", "2", "sgd", "off", "auto", "3"],  # an ensemble
                ["multi_worker", "2", "adam", "off"],
                ["parameter_server", "1", "adam", "off", "auto", "3"],
                ["units", "3", "adam", "off"],
                ["mesh", "2", "adam", "2"],
            )
        ),
    ],
    ids=" ".join,
)
def test_statistics_of_observations_are_the_same_whatever_strategy_divides_the_batch(arguments: list[str]) -> None:
    assert largest_difference(*arguments, network={"normalize_observations": True}) < 1e-5


@pytest.mark.long
def test_statistics_of_a_memorys_steps_are_the_same_whatever_divides_the_sequences() -> None:
    network = {"normalize_observations": True, "memory": "gru", "memory_units": 6}
    assert largest_difference("mirrored", "2", "adam", "off", network=network) < 1e-5


# What draws must draw the same whatever the number of replicas: IQN its fractions, noisy layers their noise.
IQN = {"kind": "iqn", "quantiles": 8, "target_quantiles": 6, "acting_quantiles": 5, "embedding": 8}
NOISY = {"noisy": True, "dueling": True}
DISTRIBUTIONS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "c51": ({"kind": "c51", "atoms": 21}, {}),
    "double c51, noisy": ({"kind": "c51", "atoms": 21, "target": "double"}, NOISY),
    "qr_dqn": ({"kind": "qr_dqn", "quantiles": 20, "target": "double", "huber_kappa": 0.5}, {}),
    "iqn": (IQN, {}),
    "munchausen iqn, noisy": ({**IQN, "target": "munchausen"}, NOISY),
    "rescaled double_dqn": ({"kind": "double_dqn", "value_rescaling": 0.01}, {}),
}
STRATEGIES = [
    ["mirrored", "2", "adam", "off"],
    ["mirrored", "4", "sgd", "on"],
    ["multi_worker", "2", "adam", "off"],
    ["parameter_server", "2", "adam", "off"],
    ["averaging", "2", "sgd", "off"],
    ["units", "2", "adam", "off"],
    ["mirrored", "2", "sgd", "off", "auto", "3"],  # an ensemble
    ["mesh", "2", "adam"],
]
SHORT = [("munchausen iqn, noisy", STRATEGIES[0]), ("c51", STRATEGIES[-1])]
CASES = [
    pytest.param(name, strategy, marks=[pytest.mark.long] * ((name, strategy) not in SHORT))
    for name in DISTRIBUTIONS
    for strategy in STRATEGIES
    # Noisy layers can't be split, and draw other noise for each member of an ensemble than members apart do.
    if strategy[0] not in ("mesh", "units") or "noisy" not in name
    if strategy[0] != "mesh" or "iqn" not in name
]


@pytest.mark.parametrize(("name", "strategy"), CASES, ids=str)
def test_distributions_by_a_strategy_equal_them_alone(name: str, strategy: list[str]) -> None:
    agent, network = DISTRIBUTIONS[name]
    assert largest_difference(*strategy, agent=agent, network=network) < 1e-5
