"""Dense layers, convolutions, and one step of a memory, on NumPy arrays, for acting, by the weights in TensorFlow.

Their names tell whether a layer is noisy or normalised.
"""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tfdqn.networks.layers.dense import EPSILON
from tfdqn.networks.layers.statistics import CLIP
from tfdqn.networks.layers.statistics import EPSILON as STATISTICS_EPSILON
from tfdqn.types import Rng, Weights

_ACTIVATIONS: dict[str | None, Callable[[np.ndarray], np.ndarray]] = {
    None: lambda x: x,
    "relu": lambda x: np.maximum(x, 0, out=x),
    "tanh": lambda x: np.tanh(x, out=x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
}


def dense_numpy(
    weights: Weights, name: str, x: np.ndarray, activation: str | None = None, rng: Rng | None = None
) -> np.ndarray:
    """Computes layer `name` for x float32[B, F] or, for an ensemble, whose weights have a leading axis K, [K, B, F].

    A noisy layer draws from `rng`; without it, it has no noise.
    """
    kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
    if rng is not None and f"{name}/kernel_sigma" in weights:
        into = _noise(rng, kernel.shape[:-1])
        out = _noise(rng, bias.shape)
        kernel = kernel + weights[f"{name}/kernel_sigma"] * into[..., :, np.newaxis] * out[..., np.newaxis, :]
        bias = bias + weights[f"{name}/bias_sigma"] * out
    x = x @ kernel
    x += bias[..., np.newaxis, :]
    return _ACTIVATIONS[activation](_normalized(weights, name, x))


def conv_numpy(weights: Weights, name: str, images: np.ndarray) -> np.ndarray:
    """Computes a convolution with a stride of 1, without padding, and ReLU, of images float32[B, H, W, C].

    Returns float32[B, h, w, F], where h = H - size + 1; for an ensemble [K, B, h, w, F].
    """
    kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
    *members, size, _, channels, filters = kernel.shape
    batch, height, width, _ = images.shape
    rows = images.reshape(batch, height, width * channels)
    # NumPy's types know of one axis only.
    windows = sliding_window_view(rows, (size, size * channels), axis=(1, 2))  # type: ignore[call-overload]
    x = windows[:, :, ::channels].reshape(-1, size * size * channels) @ kernel.reshape(*members, -1, filters)
    x += bias[..., np.newaxis, :]
    x = _ACTIVATIONS["relu"](_normalized(weights, name, x))
    return x.reshape(*members, batch, height - size + 1, width - size + 1, filters)


def normalize_numpy(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """`RunningStatistics` on NumPy arrays: normalises x float32[B, N]; returns [K, B, N] for an ensemble."""
    mean, variance = (weights[f"{name}/{each}"][..., np.newaxis, :] for each in ("mean", "variance"))
    return np.clip((x - mean) / np.sqrt(variance + np.float32(STATISTICS_EPSILON)), -CLIP, CLIP)


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


def _noise(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    normal = rng.standard_normal(shape, np.float32)
    return np.sign(normal) * np.sqrt(np.abs(normal))


def _normalized(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """Layer normalisation of x float32[…, N, F], if the layer has its weights; else x itself."""
    if f"{name}_norm/scale" not in weights:
        return x
    units = x.shape[-1]
    mean = np.full((units, 1), 1 / units, np.float32)  # as a matrix product it takes a third of the time of `np.mean`
    centred = x - x @ mean
    centred /= np.sqrt(np.square(centred) @ mean + np.float32(EPSILON))
    centred *= weights[f"{name}_norm/scale"][..., np.newaxis, :]
    centred += weights[f"{name}_norm/offset"][..., np.newaxis, :]
    return centred
