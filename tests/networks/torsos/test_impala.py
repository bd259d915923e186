"""The residual network: every option against NumPy loops, in each form that a network takes."""

from collections.abc import Mapping
from math import ceil

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import observations, random_weights
from tfdqn.config import Config, Impala
from tfdqn.errors import ConfigError
from tfdqn.networks.factory import ensemble_network, numpy_q_function, q_network, split_network, weight_specs
from tfdqn.networks.torsos.impala import adaptive_max_pool
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

SPEC = TaskSpec(
    id="Image-v0",
    observation={"image": ArraySpec(shape=(2, 13, 18), dtype="uint8", frame_stack=2)},
    actions=discrete(3),
)
SETTINGS = {
    "plain": Impala(dense_units=7),
    "wide": Impala(dense_units=7, width=2),
    "spectral": Impala(dense_units=7, spectral_norm=True),
    "pooled": Impala(dense_units=7, adaptive_pooling=6),
    "normalised": Impala(dense_units=7, layer_norm=True),
    "all": Impala(dense_units=7, width=2, spectral_norm=True, adaptive_pooling=2, layer_norm=True, dueling=True),
}


def conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """3×3 over [H, W, C] with a margin of zeros."""
    padded, out = np.pad(x, [(1, 1), (1, 1), (0, 0)]), np.empty((*x.shape[:2], len(bias)))
    for i, j in np.ndindex(*x.shape[:2]):
        out[i, j] = np.tensordot(padded[i : i + 3, j : j + 3], kernel, 3) + bias
    return out


def max_pool(x: np.ndarray) -> np.ndarray:
    """3×3/2; of an even length TensorFlow's "SAME" begins at the first pixel, of an odd one before it."""
    height, width = (ceil(length / 2) for length in x.shape[:2])
    first = [-(length % 2) for length in x.shape[:2]]
    out = np.empty((height, width, x.shape[2]))
    for i, j in np.ndindex(height, width):
        rows, columns = (
            slice(max(0, 2 * k + begin), 2 * k + begin + 3) for k, begin in zip((i, j), first, strict=True)
        )
        out[i, j] = x[rows, columns].max(axis=(0, 1))
    return out


def cells(x: np.ndarray, size: int) -> np.ndarray:
    def part(i: int, length: int) -> slice:
        return slice(i * length // size, ceil((i + 1) * length / size))

    rows = [[x[part(i, x.shape[0]), part(j, x.shape[1])].max(axis=(0, 1)) for j in range(size)] for i in range(size)]
    return np.array(rows)


def relu(weights: Mapping[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    if f"{name}_norm/scale" in weights:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        x = x * weights[f"{name}_norm/scale"] + weights[f"{name}_norm/offset"]
    return np.maximum(x, 0)


def features(settings: Impala, weights: Mapping[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """Of one image uint8[2, H, W]."""
    x = image.transpose(1, 2, 0) / 255.0
    for i in range(3):
        x = max_pool(conv(x, weights[f"section_{i}_conv/kernel"], weights[f"section_{i}_conv/bias"]))
        for block in range(2):
            added = x
            for j in range(2):
                name = f"section_{i}_block_{block}_conv_{j}"
                kernel = weights[f"{name}/kernel"]
                if settings.spectral_norm:
                    kernel = kernel / np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))[1][0]
                added = conv(relu(weights, name, added), kernel, weights[f"{name}/bias"])
            x = x + added
    x = relu(weights, "sections", x)
    return (cells(x, settings.adaptive_pooling) if settings.adaptive_pooling else x).ravel()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_its_features_are_those_of_the_papers_figure(settings: Impala) -> None:
    rng = np.random.default_rng(5)
    network = q_network(Config(network=settings), SPEC, seed=0)
    network.create_variables()
    weights = {name: 0.3 * array for name, array in random_weights(network.named_weights(), rng).items()}
    network.load_named_weights(weights)
    observation = observations(SPEC, 3, rng)
    found, _ = network.features({"image": tf.constant(observation["image"])})
    expected = np.stack([features(settings, weights, image) for image in observation["image"]])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-2 if settings.spectral_norm else 1e-3, atol=1e-3)
    assert np.abs(expected).mean() > 0.01


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_every_member_of_an_ensemble_is_the_plain_network(settings: Impala) -> None:
    rng = np.random.default_rng(1)
    config = Config(network=settings)
    ensemble, alone = ensemble_network(config, SPEC, seeds=[4, 2]), q_network(config, SPEC, seed=2)
    ensemble.create_variables()
    alone.create_variables()
    observation = {key: tf.constant(array) for key, array in observations(SPEC, 5, rng).items()}
    np.testing.assert_allclose(ensemble(observation)[0][1], alone(observation)[0], rtol=1e-4, atol=1e-5)
    weights = {name: 0.3 * array for name, array in random_weights(ensemble.named_weights(), rng).items()}
    ensemble.load_named_weights(weights)  # biases are no longer zeros
    for k in range(2):
        alone.load_named_weights({name: array[k] for name, array in weights.items()})
        found, expected = ensemble(observation)[0][k], alone(observation)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_its_weights_are_told_without_making_them(settings: Impala) -> None:
    network = q_network(Config(network=settings), SPEC, seed=0)
    network.create_variables()
    told = weight_specs(Config(network=settings), SPEC)
    assert {name: tuple(spec.shape) for name, spec in told.items()} == {
        name: tuple(weight.shape) for name, weight in network.named_weights().items()
    }
    assert list(told) == list(network.named_weights())


def test_it_has_the_papers_layers_and_computes_with_weights_that_are_given() -> None:
    network = q_network(Config(network=Impala()), SPEC, seed=0)
    network.create_variables()
    weights = network.named_weights()
    assert sum(name.endswith("/kernel") and "conv" in name for name in weights) == 15
    assert weights["hidden_0/kernel"].shape == (2 * 3 * 32, 256)  # of 13 × 18: 7 × 9, 4 × 5, 2 × 3
    observation = {"image": tf.ones([1, 2, 13, 18], tf.uint8)}
    with network.with_weights({name: tf.zeros_like(weight) for name, weight in weights.items()}):
        np.testing.assert_array_equal(network(observation)[0], np.zeros((1, 3)))
    assert np.any(network(observation)[0])


def test_normalisation_comes_before_every_relu() -> None:
    convolutions = {f"section_{i}_block_{b}_conv_{j}" for i in range(3) for b in range(2) for j in range(2)}
    told = weight_specs(Config(network=SETTINGS["normalised"]), SPEC)
    assert {name for name in told if name.endswith("_norm/scale")} == {
        f"{layer}_norm/scale" for layer in {*convolutions, "sections", "hidden_0"}
    }


@pytest.mark.parametrize("length", [1, 3, 6, 7, 11, 12])
def test_adaptive_pooling_takes_the_maxima_of_cells_that_cover_the_image(length: int) -> None:
    images = np.random.default_rng(length).normal(size=(2, length, 5, 3)).astype(np.float32)
    expected = np.stack([cells(image, 6) for image in images])
    np.testing.assert_array_equal(adaptive_max_pool(tf.constant(images), 6), expected)


def test_it_acts_by_tensorflow_and_is_not_split() -> None:
    config = Config(network=Impala())
    assert numpy_q_function(config, SPEC) is None
    with pytest.raises(ConfigError, match=r"residual blocks .* can't be split"):
        split_network(config, SPEC, seed=0, devices=["CPU:0"] * 2)
