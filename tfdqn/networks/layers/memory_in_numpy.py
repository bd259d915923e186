"""One step of a memory on NumPy arrays, for acting, with the same weights as in `memory.py`."""

from collections.abc import Callable

import numpy as np

from tfdqn.types import Weights

# (weights by name, the layer's name, inputs float32[B, F], state [B, S]) → (outputs [B, U], the next state)
NumpyMemory = Callable[[Weights, str, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def lstm_numpy(weights: Weights, name: str, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes one step of `memory.LSTM`."""
    h, c = np.split(state, 2, axis=1)
    gates = x @ weights[f"{name}/kernel"] + h @ weights[f"{name}/recurrent_kernel"] + weights[f"{name}/bias"]
    i, f, g, o = np.split(gates, 4, axis=1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    h = _sigmoid(o) * np.tanh(c)
    return h, np.concatenate([h, c], axis=1)


def gru_numpy(weights: Weights, name: str, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes one step of `memory.GRU`."""
    z, r, g = np.split(x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"], 3, axis=1)
    of_state = state @ weights[f"{name}/recurrent_kernel"] + weights[f"{name}/recurrent_bias"]
    own_z, own_r, own_g = np.split(of_state, 3, axis=1)
    update = _sigmoid(z + own_z)
    h = update * state + (1 - update) * np.tanh(g + _sigmoid(r + own_r) * own_g)
    return h, h


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * x))


MEMORIES_NUMPY: dict[str, NumpyMemory] = {"lstm": lstm_numpy, "gru": gru_numpy}
