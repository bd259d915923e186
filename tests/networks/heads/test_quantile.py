"""The NumPy twin of IQN's head embeds fractions by the network's cosines, also by many."""

import numpy as np
import pytest

from tfdqn.config import IQN, Config, Linear
from tfdqn.networks.heads.quantile import implicit_quantile_numpy
from tfdqn.networks.noise import cos_pi


@pytest.mark.parametrize("count", [6, 32])
def test_cosines_are_the_networks(count: int) -> None:
    """Feature i is multiplied by ReLU(cos(π i τ)) alone, and Q of example i is what that gives."""
    width = 1024
    head = implicit_quantile_numpy(Config(network=Linear(), agent=IQN(embedding=width, acting_quantiles=count)))
    weights = {
        "embedding/kernel": np.eye(width, dtype=np.float32),
        "embedding/bias": np.zeros(width, np.float32),
        "theta/kernel": np.ones((width, 1), np.float32),
        "theta/bias": np.zeros(1, np.float32),
    }
    fractions = (np.arange(count, dtype=np.float32) + 0.5) / count
    cosines = cos_pi(fractions[:, np.newaxis] * np.arange(width, dtype=np.float32)).numpy()
    found = head(weights, np.eye(width, dtype=np.float32), None)
    np.testing.assert_allclose(found[:, 0], np.maximum(cosines, 0).mean(axis=0), rtol=0, atol=5e-7)
