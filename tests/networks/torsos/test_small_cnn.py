"""The network for small boards: its features against NumPy loops, in each form that a network takes."""

from collections.abc import Mapping

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import observations, random_weights
from tfdqn.config import Config, Ensemble, SmallCNN
from tfdqn.errors import ConfigError
from tfdqn.networks.factory import (
    ensemble_network,
    network_to_load,
    numpy_q_function,
    q_network,
    split_network,
    weight_specs,
)
from tfdqn.networks.q_network import QNetwork
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

SETTINGS = SmallCNN(dense_units=4)
NORMALISED = SmallCNN(dense_units=4, layer_norm=True)


def board(*shape: int, dtype: str = "bool", frame_stack: int = 1) -> TaskSpec:
    array = ArraySpec(shape=shape, dtype=dtype, frame_stack=frame_stack)
    return TaskSpec(id="Board-v0", observation={"board": array}, actions=discrete(3))


BOARD, FRAMES = board(7, 5, 3), board(2, 6, 8, dtype="uint8", frame_stack=2)


def features(weights: Mapping[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """16 filters of 3×3 over [H, W, C] without a margin, then ReLU, row by row."""
    height, width, _ = image.shape
    out = np.empty((height - 2, width - 2, 16))
    for i, j in np.ndindex(height - 2, width - 2):
        out[i, j] = np.tensordot(image[i : i + 3, j : j + 3], weights["conv_0/kernel"], 3) + weights["conv_0/bias"]
    if "conv_0_norm/scale" in weights:
        out = (out - out.mean(-1, keepdims=True)) / np.sqrt(out.var(-1, keepdims=True) + 1e-6)
        out = out * weights["conv_0_norm/scale"] + weights["conv_0_norm/offset"]
    return np.maximum(out, 0).ravel()


def made(network: QNetwork) -> dict[str, np.ndarray]:
    """Its weights, all of them random now."""
    network.create_variables()
    weights = random_weights(network.named_weights(), np.random.default_rng(1))
    network.load_named_weights(weights)
    return weights


@pytest.mark.parametrize("settings", [SETTINGS, NORMALISED], ids=["plain", "normalised"])
@pytest.mark.parametrize("spec", [BOARD, FRAMES], ids=["board", "frames"])
def test_its_features_are_those_of_the_paper(spec: TaskSpec, settings: SmallCNN) -> None:
    network = q_network(Config(network=settings), spec, seed=0)
    weights = made(network)
    assert ("conv_0_norm/scale" in weights) == settings.layer_norm
    seen = observations(spec, 4, np.random.default_rng(2))["board"]
    found, _ = network.features({"board": tf.constant(seen)})
    images = seen.transpose(0, 2, 3, 1) / 255.0 if spec is FRAMES else seen.astype(float)
    expected = np.stack([features(weights, image) for image in images])
    assert np.abs(expected).mean() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    q_values, _ = network({"board": tf.constant(seen)})
    if settings is SETTINGS:
        hidden = np.maximum(expected @ weights["hidden_0/kernel"] + weights["hidden_0/bias"], 0)
        np.testing.assert_allclose(q_values, hidden @ weights["q/kernel"] + weights["q/bias"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(
    "settings", [SETTINGS, NORMALISED, SmallCNN(dense_units=4, dueling=True)], ids=["plain", "normalised", "dueling"]
)
@pytest.mark.parametrize("spec", [BOARD, FRAMES, board(6, 5)], ids=["board", "frames", "no channels"])
def test_numpy_gives_the_networks_q(spec: TaskSpec, settings: SmallCNN, members: int) -> None:
    config = Config(network=settings, ensemble=Ensemble(size=members))
    network = network_to_load(config, spec)
    weights = made(network)
    by_numpy = numpy_q_function(config, spec)
    assert by_numpy is not None
    for count in (1, 9):
        seen = observations(spec, count, np.random.default_rng(2))
        expected, _ = network({"board": tf.constant(seen["board"])})
        found = by_numpy(weights, seen)
        assert found.dtype == np.float32 and np.std(found) > 0.1
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_its_layers_are_the_papers() -> None:
    """A board of 10 × 10 with 4 channels: 3·3·4·16 + 16, then 8·8·16·128 + 128 and 128·6 + 6 numbers."""
    task = TaskSpec(
        id="MinAtar", observation={"board": ArraySpec(shape=(10, 10, 4), dtype="bool")}, actions=discrete(6)
    )
    told = {name: tuple(spec.shape) for name, spec in weight_specs(Config(network=SmallCNN()), task).items()}
    assert told == {
        "conv_0/kernel": (3, 3, 4, 16),
        "conv_0/bias": (16,),
        "hidden_0/kernel": (1024, 128),
        "hidden_0/bias": (128,),
        "q/kernel": (128, 6),
        "q/bias": (6,),
    }


@pytest.mark.parametrize("settings", [SETTINGS, NORMALISED], ids=["plain", "normalised"])
def test_every_member_of_an_ensemble_is_the_plain_network(settings: SmallCNN) -> None:
    config, seen = Config(network=settings), observations(BOARD, 5, np.random.default_rng(3))
    ensemble, alone = ensemble_network(config, BOARD, seeds=[4, 2]), q_network(config, BOARD, seed=0)
    weights = made(ensemble)
    alone.create_variables()
    for k in range(2):
        alone.load_named_weights({name: array[k] for name, array in weights.items()})
        np.testing.assert_allclose(ensemble(seen)[0][k], alone(seen)[0], rtol=1e-4, atol=1e-4)


def test_in_pieces_it_computes_the_same() -> None:
    config, seen = Config(network=SETTINGS), observations(BOARD, 5, np.random.default_rng(4))
    split, whole = split_network(config, BOARD, seed=0, devices=["CPU:0"] * 2), q_network(config, BOARD, seed=0)
    weights = made(whole)
    split.create_variables()
    split.load_named_weights(weights)
    np.testing.assert_allclose(split(seen)[0], whole(seen)[0], rtol=1e-4, atol=1e-4)


def test_a_board_on_which_no_filter_fits_is_refused() -> None:
    q_network(Config(network=SETTINGS), board(3, 3, 1), seed=0)
    with pytest.raises(ConfigError, match=r"too small \(3 x 2.*at least 3 x 3 pixels"):
        q_network(Config(network=SETTINGS), board(3, 2, 1), seed=0)
