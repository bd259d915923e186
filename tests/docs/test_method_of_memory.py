"""The page's equations of memory, transcribed into NumPy."""

import numpy as np

from tests.support.method_page import equation
from tfdqn.agents.recurrent import mean_of_steps, sequence_error


@equation(33, "tfdqn.agents.recurrent.sequence_error")
def test_a_sequences_loss_and_error() -> None:
    rng, eta = np.random.default_rng(1), 0.9
    delta = rng.normal(size=(6, 7)).astype(np.float32)
    steps = rng.integers(1, 8, 6)
    is_step = np.arange(7) < steps[:, None]
    for b, k in enumerate(steps):
        of_steps = np.abs(delta[b, :k])
        expected = eta * of_steps.max() + (1 - eta) * of_steps.sum() / k
        np.testing.assert_allclose(sequence_error(delta, is_step)[b], expected, rtol=1e-5)
        np.testing.assert_allclose(mean_of_steps(delta**2 / 2, is_step)[b], (of_steps**2 / 2).sum() / k, rtol=1e-5)
