"""A network split over devices: equal to the whole one, its memory and its work divided; pieces and whole arrays."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.agents.batches import random_weights
from tests.learning.parity import SPEC, image_spec
from tests.learning.test_parity import ROOT, largest_difference
from tfdqn.config import MLP, Linear, NatureCNN, Network
from tfdqn.errors import ConfigError
from tfdqn.networks import q_network, split_network
from tfdqn.networks.pieces import Cut


@pytest.mark.parametrize(
    ("columns", "optimizer", "rows", "network"),
    [
        (2, "adam", 1, "mlp"),
        (4, "sgd", 1, "mlp"),
        (2, "adam", 2, "mlp"),
        (2, "rmsprop", 1, "cnn"),
        (3, "sgd", 2, "cnn"),
    ],
)
def test_a_split_network_learns_what_the_whole_one_does(
    columns: int, optimizer: str, rows: int, network: str
) -> None:
    assert largest_difference("mesh", str(columns), optimizer, str(rows), network) < 1e-5


def held_and_computed(rows: int, columns: int) -> tuple[dict[str, int], dict[str, int]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.learning.mesh_devices", str(rows), str(columns)],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    return counts["bytes"], counts["products"]


def test_each_device_holds_and_computes_its_part_alone() -> None:
    """An MLP 8-1024-1024-2 with Adam: weights, target and two moments of 1,060,866 floats; the head stays whole."""
    (whole,) = held_and_computed(1, 1)[0].values()
    assert whole == 4 * 4 * (8 * 1024 + 1024 + 1024 * 1024 + 1024 + 1024 * 2 + 2) + 16  # and two counters
    held, products = held_and_computed(2, 4)
    assert set(held) == set(products) == {f"CPU:{i}" for i in range(8)}
    for device, size in held.items():
        assert whole / 4 <= size * 1.01 and size <= whole / 4 * 1.02, device
    # Of the two split layers: forward with gradient, target, next state's; backward by inputs and by weights.
    assert len({products[f"CPU:{i}"] for i in (1, 2, 3, 5, 6, 7)}) == 1
    assert products["CPU:0"] == products["CPU:4"] > products["CPU:1"] >= 6


@pytest.mark.parametrize(
    ("network", "columns"),
    [(MLP(hidden_units=(7, 5)), 3), (MLP(hidden_units=(6,)), 2), (NatureCNN(dense_units=9), 5)],
)
def test_pieces_are_cut_from_the_same_initial_weights_and_joined_again(
    network: Network, columns: int
) -> None:
    spec = image_spec() if isinstance(network, NatureCNN) else SPEC
    whole = q_network(network, spec, seed=3)
    split = split_network(network, spec, seed=3, devices=["CPU:0"] * columns)
    whole.create_variables()
    split.create_variables()
    expected = {name: weight.numpy() for name, weight in whole.named_weights().items()}
    pieces = {f"some/{name}": weight.numpy() for name, weight in split.named_weights().items()}
    assert len(pieces) > len(expected)
    joined = split.join(pieces)
    assert joined.keys() == {f"some/{name}" for name in expected}
    for name, array in expected.items():
        np.testing.assert_array_equal(joined[f"some/{name}"], array, err_msg=name)
    again = split.split(joined)
    for name, array in pieces.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def test_a_split_network_takes_whole_weights_and_gives_the_whole_ones_values() -> None:
    spec = image_spec()
    network = NatureCNN(dense_units=9)
    whole = q_network(network, spec, seed=1)
    split = split_network(network, spec, seed=2, devices=["CPU:0"] * 3)
    whole.create_variables()
    split.create_variables()
    rng = np.random.default_rng(1)
    weights = random_weights(whole.named_weights(), rng)
    whole.load_named_weights(weights)
    split.load_named_weights(weights)
    images = {"image": rng.integers(256, size=(4, 2, 36, 36)).astype(np.uint8)}
    np.testing.assert_allclose(split(images)[0], whole(images)[0], rtol=1e-4, atol=1e-3)


def test_a_comb_of_rows_is_cut_by_channels() -> None:
    """An image of one row, two columns and three channels before a dense layer of one unit."""
    kernel = np.arange(6.0)[:, np.newaxis]
    cut = Cut(view=(1, 2, 3, 1), axis=2, sizes=(2, 1))
    first, second = cut.split(kernel)
    assert first.ravel().tolist() == [0, 1, 3, 4]
    assert second.ravel().tolist() == [2, 5]
    np.testing.assert_array_equal(cut.join([first, second], kernel.shape), kernel)


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (MLP(hidden_units=(1, 8)), "learner.model_parallel = 2: layer hidden_0 has only 1 units"),
        (Linear(), "learner.model_parallel above 1: a linear network has no layers to split"),
    ],
)
def test_what_cannot_be_split_is_said_in_one_line(network: Network, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        split_network(network, SPEC, seed=1, devices=["CPU:0"] * 2)
