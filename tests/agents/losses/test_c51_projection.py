"""The projection on a support, against RLax, a slow oracle, and by hand."""

import numpy as np
import tensorflow as tf

from tests.support.golden_files import golden
from tfdqn.agents.losses.c51 import project

GOLDEN, BATCH = golden("categorical"), golden("batch")


def f32(array: object) -> tf.Tensor:
    return tf.constant(array, tf.float32)


def test_it_is_rlaxs() -> None:
    support = GOLDEN["support"]
    atoms = BATCH["r_t"][:, None] + BATCH["discount_t"][:, None] * support
    probabilities = tf.nn.softmax(f32(GOLDEN["logits_t"][:, 0]))
    assert (atoms < support[0]).any() and (atoms > support[-1]).any()
    found = project(f32(atoms), probabilities, support)
    np.testing.assert_allclose(found, GOLDEN["projection"], atol=1e-5)
    np.testing.assert_allclose(tf.reduce_sum(found, axis=-1), np.ones(len(atoms)), rtol=1e-5)


def test_by_hand() -> None:
    # On 0, 1, 2: 0.25 lies a quarter of the way to 1; 2 is an atom; 5 and −3 are beyond the ends.
    atoms, probabilities = f32([[0.25, 2.0], [5.0, -3.0], [1.0, 1.5]]), f32([[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]])
    expected = [[0.6, 0.2, 0.2], [0.7, 0, 0.3], [0, 0.75, 0.25]]
    np.testing.assert_allclose(project(atoms, probabilities, np.float32([0, 1, 2])), expected, atol=1e-6)


def test_it_is_the_loop_of_the_papers_algorithm_1_for_all_members_of_an_ensemble() -> None:
    rng = np.random.default_rng(3)
    support = np.linspace(-1, 4, 6, dtype=np.float32)
    atoms, probabilities = rng.normal(scale=4, size=(2, 5, 9)), rng.dirichlet(np.ones(9), size=(2, 5))
    expected = np.zeros((2, 5, 6))
    for index in np.ndindex(2, 5, 9):
        place = min(max(atoms[index], -1), 4) + 1
        low, high = int(np.floor(place)), int(np.ceil(place))
        if low == high:
            expected[(*index[:2], low)] += probabilities[index]
        else:
            expected[(*index[:2], low)] += probabilities[index] * (high - place)
            expected[(*index[:2], high)] += probabilities[index] * (place - low)
    np.testing.assert_allclose(project(f32(atoms), f32(probabilities), support), expected, atol=1e-5)
