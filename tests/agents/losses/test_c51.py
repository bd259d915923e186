"""C51 against RLax, on tables whose rows no right loss reads are poisoned."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.golden_files import golden
from tests.support.loss_outputs import of_tables
from tfdqn.agents.loss import LossOutput
from tfdqn.config import C51

CASE, BATCH = golden("categorical"), golden("batch")
SUPPORT = CASE["support"].astype(float)
SETTINGS = {"v_min": float(SUPPORT[0]), "v_max": float(SUPPORT[-1]), "atoms": len(SUPPORT)}
POISON = 1e4


def output(target: str, logits_t: str, legal: bool) -> LossOutput:
    poison = POISON * np.sign(np.random.default_rng(0).normal(size=CASE[logits_t].shape))
    select_t = CASE["logits_select_t"] if target == "double" else poison
    return of_tables(
        C51(target=target, **SETTINGS),  # type: ignore[arg-type]
        np.concatenate([CASE["logits_tm1"], select_t]),
        np.concatenate([poison, CASE[logits_t]]),
        BATCH,
        BATCH["legal_t"] if legal else None,
    )


@pytest.mark.parametrize(
    ("name", "target", "logits_t", "legal"),
    [
        ("loss", "max", "logits_t", False),
        ("legal_loss", "max", "logits_t", True),
        ("double_loss", "double", "logits_t_of_best", False),
        ("legal_double_loss", "double", "logits_t", True),
    ],
)
def test_the_loss_is_rlaxs(name: str, target: str, logits_t: str, legal: bool) -> None:
    np.testing.assert_allclose(output(target, logits_t, legal).loss, CASE[name], rtol=1e-5)


def test_q_is_the_mean_and_the_td_error_the_divergence() -> None:
    found = output("max", "logits_t", False)
    rows, taken = np.arange(len(BATCH["r_t"])), BATCH["action_tm1"]
    logits = CASE["logits_tm1"][rows, taken].astype(float)
    predicted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.q_value, predicted @ SUPPORT, rtol=1e-4, atol=1e-5)
    # The target's own distribution, by a loop over its atoms, and Σ m log(m / p).
    best = CASE["q_t"].argmax(axis=1)
    logits_t = CASE["logits_t"][rows, best].astype(float)
    source = np.exp(logits_t) / np.exp(logits_t).sum(axis=1, keepdims=True)
    spacing, target = SUPPORT[1] - SUPPORT[0], np.zeros_like(source)
    for b in rows:
        for z, p in zip(SUPPORT, source[b], strict=True):
            place = (np.clip(BATCH["r_t"][b] + BATCH["discount_t"][b] * z, *SUPPORT[[0, -1]]) - SUPPORT[0]) / spacing
            low = min(int(place), len(SUPPORT) - 2)
            target[b, low] += p * (low + 1 - place)
            target[b, low + 1] += p * (place - low)
    positive = np.where(target > 0, target, 1)
    divergence = (target * (np.log(positive) - np.log(predicted))).sum(axis=1)
    np.testing.assert_allclose(found.td_error, divergence, rtol=1e-4, atol=1e-5)
    assert (found.td_error.numpy() >= -1e-6).all()


def test_a_right_prediction_has_no_error() -> None:
    """r = 0.25 · 3 and γ = 0: the target is the atom 0.75 itself."""
    atoms = np.linspace(-1, 1, 9)
    logits = np.full((2, 2, 9), -60.0)
    logits[:, :, 7] = 60.0
    batch = {"action_tm1": np.int32([1]), "r_t": np.float32([0.75]), "discount_t": np.float32([0])}
    settings = C51(v_min=-1, v_max=1, atoms=9)
    assert atoms[7] == 0.75
    np.testing.assert_allclose(of_tables(settings, logits, logits, batch, None).td_error, [0], atol=1e-6)


def test_the_gradient_is_that_of_the_cross_entropy_alone() -> None:
    logits = tf.constant(CASE["logits_tm1"][:, 0] * 1e-4)
    target = tf.nn.softmax(tf.constant(CASE["logits_t"][:, 0]))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=-1)
    np.testing.assert_allclose(tape.gradient(loss, logits), tf.nn.softmax(logits) - target, atol=1e-6)
