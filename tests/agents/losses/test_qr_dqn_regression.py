"""Quantile regression with a Huber loss, against RLax and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.golden_files import golden
from tests.support.quantile_oracle import regression
from tfdqn.agents.losses.qr_dqn import quantile_regression
from tfdqn.networks.heads.quantile import midpoints

GOLDEN, BATCH = golden("quantiles"), golden("batch")
ROWS, TAKEN = np.arange(len(BATCH["r_t"])), BATCH["action_tm1"]


def f32(array: object) -> tf.Tensor:
    return tf.constant(array, tf.float32)


def loss(theta_t: np.ndarray, best: np.ndarray, tau: tf.Tensor, kappa: float) -> tf.Tensor:
    target = BATCH["r_t"][:, None] + BATCH["discount_t"][:, None] * theta_t[ROWS, best]
    return quantile_regression(f32(GOLDEN["theta_tm1"][ROWS, TAKEN]), f32(target), tau, kappa)[0]


@pytest.mark.parametrize(("kappa", "name"), [(1.0, "qr_loss_1"), (0.5, "qr_loss_half")])
def test_at_midpoints_it_is_rlaxs(kappa: float, name: str) -> None:
    theta_t = GOLDEN["theta_t"]
    found = loss(theta_t, theta_t.mean(axis=-1).argmax(axis=-1), midpoints(theta_t.shape[-1]), kappa)
    np.testing.assert_allclose(found, GOLDEN[name], rtol=1e-5)


@pytest.mark.parametrize(("kappa", "name"), [(1.0, "iqn_loss_1"), (0.5, "iqn_loss_half"), (3.0, "iqn_loss_3")])
def test_at_each_examples_own_fractions_it_is_rlaxs(kappa: float, name: str) -> None:
    best = GOLDEN["target_select_t"].mean(axis=-1).argmax(axis=-1)
    found = loss(GOLDEN["drawn_t"], best, f32(GOLDEN["tau_tm1"]), kappa) / kappa
    np.testing.assert_allclose(found, GOLDEN[name], rtol=1e-5)


def test_midpoints_are_those_of_equal_parts() -> None:
    np.testing.assert_allclose(midpoints(4), [0.125, 0.375, 0.625, 0.875])


@pytest.mark.parametrize(
    ("kappa", "expected"),
    [
        # Errors: of θ = 0 they are −1 and 3, of θ = 2 they are −3 and 1. τ = 0.25, 0.75.
        # κ = 0: (0.75 · 1 + 0.25 · 3) / 2 + (0.25 · 3 + 0.75 · 1) / 2 = 0.75 + 0.75
        (0.0, 1.5),
        # κ = 1: L = 0.5, 2.5, 2.5, 0.5: (0.75 · 0.5 + 0.25 · 2.5) / 2 + (0.25 · 2.5 + 0.75 · 0.5) / 2 = 0.5 + 0.5
        (1.0, 1.0),
        # κ = 2: L = 0.5, 4, 4, 0.5: (0.375 + 1) / 2 + (1 + 0.375) / 2
        (2.0, 1.375),
    ],
)
def test_by_hand(kappa: float, expected: float) -> None:
    loss, error = quantile_regression(f32([[0, 2]]), f32([[-1, 3]]), f32([0.25, 0.75]), kappa)
    np.testing.assert_allclose(loss, [expected])
    np.testing.assert_allclose(error, [2])  # (1 + 3 + 3 + 1) / 4


def test_an_ensembles_members_are_each_as_one_alone() -> None:
    rng = np.random.default_rng(5)
    theta, target, tau = f32(rng.normal(size=(3, 4, 5))), f32(rng.normal(size=(3, 4, 6))), f32(rng.random((4, 5)))
    alone = [quantile_regression(theta[k], target[k], tau, 1.0) for k in range(3)]
    for found, expected in zip(quantile_regression(theta, target, tau, 1.0), zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(found, tf.stack(expected), rtol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kappa", [0.0, 0.5, 2.0])
def test_the_gradient_is_that_of_a_slow_oracle(kappa: float, compiled: bool) -> None:
    rng = np.random.default_rng(6)
    theta, target = rng.normal(size=(4, 5)), rng.normal(size=(4, 6))
    tau, weights = rng.random((4, 5)), rng.normal(size=4)

    @tf.function(jit_compile=compiled)
    def gradients(theta: tf.Tensor, target: tf.Tensor, tau: tf.Tensor) -> list[tf.Tensor | None]:
        with tf.GradientTape() as tape:
            tape.watch([theta, target, tau])
            loss = tf.tensordot(weights.astype(np.float32), quantile_regression(theta, target, tau, kappa)[0], 1)
        return tape.gradient(loss, [theta, target, tau])

    by_theta, *by_others = gradients(f32(theta), f32(target), f32(tau))
    assert by_others == [None, None]
    step = 1e-6  # of differences in float64
    for b, i in np.ndindex(theta.shape):
        above, below = (theta[b] + sign * step * (np.arange(5) == i) for sign in (1, -1))
        losses = [regression(tau[b], each, target[b].tolist(), kappa)[0] for each in (above, below)]
        slope = weights[b] * (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(by_theta[b, i], slope, rtol=1e-5, atol=1e-6)
