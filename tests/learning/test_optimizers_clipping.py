"""Clipping by global norm: of one network, and of each member of an ensemble as if it were alone."""

import numpy as np
import pytest
import tensorflow as tf

from tfdqn.learning.optimizers import clipped

SHAPES = [(4, 3), (3,), (3, 2)]


def gradients(scales: list[float]) -> list[np.ndarray]:
    """Of a member for each scale."""
    rng = np.random.default_rng(1)
    return [np.stack([scale * rng.normal(size=shape) for scale in scales]).astype(np.float32) for shape in SHAPES]


def test_a_network_is_clipped_over_all_its_weights() -> None:
    # Norm √(3² + 4²) = 5.
    found, norm = clipped([tf.constant([3.0]), tf.constant([[4.0]])], 2.5)
    assert norm == 5
    np.testing.assert_allclose(found[0], [1.5], rtol=1e-6)
    np.testing.assert_allclose(found[1], [[2.0]], rtol=1e-6)


@pytest.mark.parametrize("max_norm", [0.0, 1.0, 1e6])
def test_each_member_is_clipped_by_its_own_norm_alone(max_norm: float) -> None:
    together = gradients([0.01, 1.0, 100.0])
    found, norm = clipped([tf.constant(each) for each in together], max_norm, members=3)
    norms = []
    for k in range(3):
        alone, alone_norm = clipped([tf.constant(each[k]) for each in together], max_norm)
        norms.append(alone_norm)
        for ours, theirs in zip(found, alone, strict=True):
            np.testing.assert_allclose(ours[k], theirs, rtol=1e-6)
    assert norms[0] < 1 < norms[1]  # so that one is left alone and one is not
    np.testing.assert_allclose(norm, np.mean(norms), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_member_that_is_not_finite_stays_so_and_its_norm_tells(bad: float) -> None:
    together = gradients([1.0, 1.0])
    together[1][1] = bad
    found, norm = clipped([tf.constant(each) for each in together], 0.5, members=2)
    assert not np.isfinite(norm)
    assert np.isfinite(np.concatenate([each[0].numpy().ravel() for each in found])).all()
    assert np.isnan(found[1][1]).all()
