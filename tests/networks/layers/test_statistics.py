"""Running statistics: merged from batches of any size they are those of everything; what is far away is clipped."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.networks.layers.in_numpy import normalize_numpy
from tfdqn.networks.layers.statistics import Moments, RunningStatistics, merged, moments_of

SIZE = 3


def made(leading: tuple[int, ...] = ()) -> RunningStatistics:
    return RunningStatistics(leading, SIZE, "x_statistics")


def weights_of(layer: RunningStatistics) -> dict[str, np.ndarray]:
    return {f"{layer.name}/{name}": value.numpy() for name, value in layer.moments._asdict().items()}


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (-5000.0, 100.0), (1e-4, 1e-6)])
def test_batches_merge_to_the_moments_of_everything(mean: float, deviation: float) -> None:
    rng, layer = np.random.default_rng(0), made()
    everything = (mean + deviation * rng.normal(size=(1000, SIZE)) * [1, 2, 3] + [0, 0, mean]).astype(np.float32)
    for batch in np.split(everything, np.sort(rng.choice(np.arange(1, 1000), 40, replace=False))):
        layer.add(moments_of(tf.constant(batch), None))
    wide = everything.astype(np.float64)
    np.testing.assert_allclose(layer.mean, wide.mean(0), rtol=1e-5, atol=1e-4 * deviation)
    np.testing.assert_allclose(layer.variance, wide.var(0), rtol=1e-3)
    assert layer.count.numpy() == 1000


def test_two_batches_worked_out_by_hand() -> None:
    # 0 and 2 have mean 1 and variance 1; 4, 5 and 9 mean 6 and variance 14/3. All five: mean 4, and
    # (16 + 4 + 0 + 1 + 25) / 5 = 9.2.
    old = Moments(tf.constant([1.0]), tf.constant([1.0]), tf.constant(2.0))
    new = moments_of(tf.constant([[4.0], [5.0], [9.0]]), None)
    found = merged(old, new)
    np.testing.assert_allclose([found.mean[0], found.variance[0], found.count], [4.0, 9.2, 5.0], rtol=1e-6)


def test_what_counts_nothing_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(6, SIZE)).astype(np.float32)
    vectors[3:] = 1e6
    weights = tf.constant([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    expected = moments_of(tf.constant(vectors[:3]), None)
    for ours, theirs in zip(moments_of(tf.constant(vectors), weights), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_numbers_are_centred_scaled_and_clipped_at_ten_deviations() -> None:
    layer = made()
    layer.mean.assign([1.0, -2.0, 0.0])
    layer.variance.assign([4.0, 0.25, 0.0])
    # (5 - 1) / 2, (-1.5 + 2) / 0.5, 0 / 1e-4; (-100 - 1) / 2 and (3 + 2) / 0.5, and 1 / 1e-4, clipped.
    found = layer(tf.constant([[5.0, -1.5, 0.0], [-100.0, 3.1, 1.0]]))
    np.testing.assert_allclose(found, [[2, 1, 0], [-10, 10, 10]], rtol=1e-6)
    np.testing.assert_allclose(made()(tf.constant([[0.5, -3.0, 20.0]])), [[0.5, -3.0, 10.0]], rtol=1e-6)


@pytest.mark.parametrize("leading", [(), (4,)])
def test_numpy_normalises_as_tensorflow(leading: tuple[int, ...]) -> None:
    rng, layer = np.random.default_rng(2), made(leading)
    layer.mean.assign(rng.normal(size=(*leading, SIZE)))
    layer.variance.assign(rng.gamma(1.0, size=(*leading, SIZE)))
    x = (10 * rng.normal(size=(5, SIZE))).astype(np.float32)
    found = normalize_numpy(weights_of(layer), layer.name, x)
    assert found.shape == (*leading, 5, SIZE) and found.dtype == np.float32
    np.testing.assert_allclose(found, layer(tf.constant(x)), rtol=1e-5, atol=1e-6)


def test_an_ensembles_members_each_count_the_batch() -> None:
    layer, alone = made((2,)), made()
    layer.mean.assign([[0.0] * SIZE, [9.0] * SIZE])
    layer.count.assign([0.0, 5.0])
    batch = moments_of(tf.random.stateless_normal((7, SIZE), (1, 2)), None)
    layer.add(batch)
    alone.add(batch)
    np.testing.assert_allclose(layer.mean[0], alone.mean, rtol=1e-6)
    np.testing.assert_allclose(layer.mean[1], (5 * 9.0 + 7 * batch.mean) / 12, rtol=1e-6)
    np.testing.assert_array_equal(layer.count, [7, 12])


def test_nothing_of_it_is_trained() -> None:
    assert not made().trainable_weights and len(made().weights) == 3
