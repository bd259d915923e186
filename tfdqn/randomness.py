"""Seeded random streams: every draw in a run comes from one of these, and each can be saved and restored."""

import json
import zlib
from collections.abc import Iterator

import numpy as np

_DRAWN_AT_A_TIME = 1_000_000


def stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """Makes the generator for one named purpose. Streams with different names or indices are independent."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *_key(name, index)])))


def derived_seed(seed: int, name: str, index: int = 0) -> int:
    """Derives a seed in [0, 2**31), for libraries that take a number rather than a generator."""
    return int(np.random.SeedSequence([seed, *_key(name, index)]).generate_state(1)[0] >> 1)


def seeds_of_environments(seed: int | None, count: int) -> list[int]:
    """Derives a seed of 31 bits, since some environments keep it signed, for each of `count` environments.

    If `seed` is None, they are random. If they were consecutive from `seed`, as in gymnasium, runs with neighbouring
    seeds would have environments with the same seeds.
    """
    return [int(word) >> 1 for word in np.random.SeedSequence(seed).generate_state(count)]


def draws(count: int, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Which of `count` things each resample holds, drawn with replacement: int64[some, count], `resamples` in all.

    They come in parts, to save memory, and are the same however large those are.
    """
    rows = max(_DRAWN_AT_A_TIME // count, 1)
    for done in range(0, resamples, rows):
        yield rng.integers(count, size=(min(rows, resamples - done), count))


def generator_state(generator: np.random.Generator) -> np.ndarray:
    """The complete state of a generator, uint8[N]."""
    return np.frombuffer(json.dumps(generator.bit_generator.state).encode(), np.uint8)


def load_generator_state(generator: np.random.Generator, state: np.ndarray) -> None:
    """Restores what `generator_state` returned. Raises ValueError for another kind of generator."""
    generator.bit_generator.state = json.loads(state.tobytes())


def _key(name: str, index: int) -> tuple[int, int]:
    return zlib.crc32(name.encode()), index
