"""A network split over devices: equal to the whole one, its memory and its work divided; pieces and whole arrays."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.batches import case_spec, random_weights
from tests.support.parity import image_spec
from tests.support.parity_runs import forked, largest_difference
from tfdqn.agents.factory import make_agent
from tfdqn.config import MLP, Config, Linear, NatureCNN, Network, SmallCNN
from tfdqn.errors import CheckpointError, ConfigError
from tfdqn.learning.train_step import TrainStep
from tfdqn.networks.factory import q_network, split_network
from tfdqn.networks.layers.sharded import Partition
from tfdqn.storage.arrays import SavedArrays


@pytest.mark.parametrize(
    ("columns", "optimizer", "rows", "network"),
    [
        pytest.param(2, "adam", 1, "mlp", marks=pytest.mark.long),
        pytest.param(4, "sgd", 1, "mlp", marks=pytest.mark.long),
        pytest.param(2, "adam", 2, "mlp", marks=pytest.mark.long),
        (4, "adam", 1, "uneven mlp"),
        (2, "sgd", 2, "uneven mlp"),
        pytest.param(2, "rmsprop", 1, "cnn", marks=pytest.mark.long),
        pytest.param(3, "sgd", 2, "cnn", marks=pytest.mark.long),
    ],
)
def test_a_split_network_learns_what_the_whole_one_does(columns: int, optimizer: str, rows: int, network: str) -> None:
    assert largest_difference("mesh", str(columns), optimizer, str(rows), network) < 1e-5


def held_computed_and_sent(rows: int, columns: int) -> tuple[dict[str, int], ...]:
    counts = json.loads(forked([({}, ["mesh_devices", str(rows), str(columns)])]))
    return counts["bytes"], counts["products"], counts["sent"]


def test_each_device_holds_computes_and_sends_its_part_alone() -> None:
    """An MLP 8-1024-1024-2 with Adam: weights, target and two moments of 1,060,866 floats; the head stays whole."""
    (whole,) = held_computed_and_sent(1, 1)[0].values()
    assert whole == 4 * 4 * (8 * 1024 + 1024 + 1024 * 1024 + 1024 + 1024 * 2 + 2) + 16  # and two counters
    held, products, sent = held_computed_and_sent(2, 4)
    assert set(held) == set(products) == {f"CPU:{i}" for i in range(8)}
    for device, size in held.items():
        assert whole / 4 <= size * 1.01 and size <= whole / 4 * 1.02, device
    # Of the two split layers: forward with gradient, target, next state's; backward by inputs and by weights.
    assert len({products[f"CPU:{i}"] for i in (1, 2, 3, 5, 6, 7)}) == 1
    assert products["CPU:0"] == products["CPU:4"] > products["CPU:1"] >= 6
    # In its row a device sends the sums of those three forward passes and its part of the gradient's norm, once for
    # each of the pieces whose gradient it adds up: never weights, nor their targets, gradients or moments.
    for row in ((0, 1, 2, 3), (4, 5, 6, 7)):
        for sender in row[1:]:
            ends = [f"CPU:{sender} to CPU:{receiver}: " for receiver in row]
            inside = {name: count for name, count in sent.items() if name.startswith(tuple(ends))}
            assert inside.pop(f"{ends[0]}MatMul") == 3
            assert inside.pop(f"{ends[0]}L2Loss", 0) <= 3
            assert inside == {}
    # Between the rows, the three gradients that a column's devices share out, and the clipped sums back.
    for pair in ((1, 5), (2, 6), (3, 7)):
        there, back = (f"CPU:{a} to CPU:{b}: " for a, b in (pair, pair[::-1]))
        for way in (there, back):
            assert sum(count for name, count in sent.items() if name.startswith(way)) == 3
            assert 1 <= sent[f"{way}Mul"] <= 2


@pytest.mark.parametrize(
    ("network", "columns"),
    [
        (MLP(hidden_units=(7, 5)), 3),
        (MLP(hidden_units=(6,)), 2),
        (MLP(hidden_units=(7, 5), dueling=True), 3),
        (MLP(hidden_units=(6,), dueling=True), 2),
        (NatureCNN(dense_units=9), 5),
        (NatureCNN(dense_units=9, dueling=True), 5),
    ],
)
def test_pieces_are_cut_from_the_same_initial_weights_and_joined_again(network: Network, columns: int) -> None:
    spec = image_spec() if isinstance(network, NatureCNN) else case_spec()
    whole = q_network(Config(network=network), spec, seed=3)
    split = split_network(Config(network=network), spec, seed=3, devices=["CPU:0"] * columns)
    whole.create_variables()
    split.create_variables()
    expected = {name: weight.numpy() for name, weight in whole.named_weights().items()}
    pieces = {f"some/{name}": weight.numpy() for name, weight in split.named_weights().items()}
    assert len(pieces) > len(expected)
    joined = split.join(pieces)
    assert joined.keys() == {f"some/{name}" for name in expected}
    for name, array in expected.items():
        np.testing.assert_array_equal(joined[f"some/{name}"], array, err_msg=name)
    for name, array in pieces.items():
        np.testing.assert_array_equal(split.piece(joined, name), array, err_msg=name)


@pytest.mark.parametrize(
    "network",
    [
        NatureCNN(dense_units=9),
        NatureCNN(dense_units=9, dueling=True),
        SmallCNN(dense_units=9),
        SmallCNN(dense_units=9, dueling=True),
    ],
)
def test_a_split_network_takes_whole_weights_and_gives_the_whole_ones_values(network: Network) -> None:
    spec = image_spec()
    whole = q_network(Config(network=network), spec, seed=1)
    split = split_network(Config(network=network), spec, seed=2, devices=["CPU:0"] * 3)
    whole.create_variables()
    split.create_variables()
    rng = np.random.default_rng(1)
    weights = random_weights(whole.named_weights(), rng)
    whole.load_named_weights(weights)
    split.load_named_weights(weights)
    images = {"image": rng.integers(256, size=(4, 2, 40, 36)).astype(np.uint8)}
    np.testing.assert_allclose(split(images)[0], whole(images)[0], rtol=1e-4, atol=1e-3)


def test_a_comb_of_rows_is_cut_by_channels() -> None:
    """An image of one row, two columns and three channels before a dense layer of one unit."""
    kernel = np.arange(6.0)[:, np.newaxis]
    cut = Partition(shape=(6, 1), view=(1, 2, 3, 1), axis=2, sizes=(2, 1))
    first, second = (cut.piece(kernel, i) for i in range(2))
    assert first.ravel().tolist() == [0, 1, 3, 4]
    assert second.ravel().tolist() == [2, 5]
    np.testing.assert_array_equal(cut.join([first, second]), kernel)


@pytest.mark.parametrize("devices", [(), ("CPU:0", "CPU:0")], ids=["whole", "split"])
def test_arrays_that_are_missing_or_of_another_shape_are_refused(devices: tuple[str, ...]) -> None:
    config = Config(network=MLP(hidden_units=(6, 2)))
    step = TrainStep(make_agent(config, case_spec(), devices), config)
    good = step.state()
    step.load_state(good)
    file = Path("learner.npz")
    for name in good:
        with pytest.raises(CheckpointError, match=rf"learner.npz: it has no array '{name}'"):
            step.load_state(SavedArrays({key: good[key] for key in good if key != name}, file))
    for name in ("online/hidden_1/kernel", "optimizer/m/hidden_0/bias", "target/q/kernel"):
        with pytest.raises(ValueError, match="shape"):
            step.load_state(good | {name: good[name].reshape(-1, 1)})


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (MLP(hidden_units=(1, 8)), "learner.model_parallel = 2: layer hidden_0 has only 1 units"),
        (MLP(noisy=True), r"learner.model_parallel above 1: the layers of network.noisy can't be split"),
        (MLP(layer_norm=True), r"learner.model_parallel above 1: what network.layer_norm normalises can't be split"),
        (Linear(), "learner.model_parallel above 1: a linear network has no layers to split"),
    ],
)
def test_what_cannot_be_split_is_said_in_one_line(network: Network, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        split_network(Config(network=network), case_spec(), seed=1, devices=["CPU:0"] * 2)
