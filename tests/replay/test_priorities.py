"""How often transitions are sampled against their priorities, by a chi-square test: in the graph, by one Reverb server
and by two, before priorities are updated and after.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.support.random_episodes import VECTOR
from tests.support.replay_contents import drawn, numbered
from tfdqn.config import Config, Learner, Priorities
from tfdqn.config import Replay as ReplayConfig
from tfdqn.errors import ConfigError
from tfdqn.replay.factory import make_replay
from tfdqn.replay.interfaces import ItemPriorities, Replay, Sample
from tfdqn.replay.priorities import PriorityScale

ALPHA, EPSILON = 0.6, 0.01
STORED = 40  # transitions
DRAWS, BATCH = 20_000, 500
BACKENDS = {
    "in the graph": {"backend": "in_graph"},
    "one server": {"backend": "reverb"},
    "two servers": {"backend": "reverb", "shards": 2},
}


def config(**replay: Any) -> Config:
    replay = {"block_size": 1, "capacity": 1000, "min_size": 1} | replay
    return Config(
        replay=ReplayConfig(**replay),
        priorities=Priorities(exponent=ALPHA, epsilon=EPSILON),
        learner=Learner(xla="off"),
    )


@pytest.fixture(params=BACKENDS)
def settings(request: pytest.FixtureRequest) -> Config:
    return config(**BACKENDS[request.param])


def backend_of(settings: Config) -> dict[str, Any]:
    return {"backend": settings.replay.backend, "shards": settings.replay.shards}


@pytest.fixture
def replay(settings: Config, tmp_path: Path) -> Iterator[Replay]:
    with closing(make_replay(settings, VECTOR, tmp_path)) as replay:
        yield replay


def fill(replay: Replay, length: int = STORED // 4, first: int = 0) -> None:
    writer = replay.writer(4)
    for step in numbered(length, first):
        writer.write(step)
    replay.flush()
    if hasattr(replay, "_kind"):
        replay._kind.flush()


def arrived(replay: Replay) -> None:
    """Returns when the servers have what was sent to them."""
    if hasattr(replay, "_updates"):
        replay._updates.flush(20.0)


class Draws:
    """Samples as they come, each transition known by its number."""

    def __init__(self, replay: Replay):
        sampler = replay.sampler(BATCH)
        self._sample = tf.function(sampler, autograph=False)
        self.keys: dict[int, np.ndarray] = {}
        self.probability: dict[int, float] = {}

    def batch(self) -> np.ndarray:
        sample: Sample = self._sample()
        numbers = drawn(sample)
        for number, key, probability in zip(numbers, *(each.numpy() for each in sample.draw[::-1]), strict=True):
            self.keys[number], self.probability[number] = key, probability
        return numbers

    def counts(self) -> np.ndarray:
        """How often each number is drawn; what was fetched ahead is passed over."""
        for _ in range(3):
            self.batch()
        return np.bincount(np.concatenate([self.batch() for _ in range(DRAWS // BATCH)]), minlength=STORED)

    def update(self, replay: Replay, errors: np.ndarray) -> None:
        """Of every number's transition; the numbers in reverse, so that none is met by its place."""
        numbers = np.arange(len(errors))[::-1]
        keys = np.stack([self.keys[number] for number in numbers])
        replay.update_priorities(ItemPriorities(keys, errors[::-1].astype(np.float32)))
        arrived(replay)


def expected(errors: np.ndarray, shards: int) -> np.ndarray:
    """P(i): each server gives its equal share. Transitions went to servers in turn."""
    powers = (errors + EPSILON) ** ALPHA
    servers = np.arange(len(errors)) % shards
    return powers / np.bincount(servers, powers)[servers] / shards


def test_transitions_are_drawn_in_proportion_to_their_priorities(replay: Replay, settings: Config) -> None:
    fill(replay)
    draws = Draws(replay)
    new = draws.counts()
    assert stats.chisquare(new).pvalue > 1e-4  # all have the same priority at first
    rng = np.random.default_rng(2)
    for _ in range(2):
        errors = rng.gamma(0.5, size=STORED)
        errors[7] = 0.0
        draws.update(replay, errors)
        counts = draws.counts()
        wanted = expected(errors, settings.replay.shards)
        assert stats.chisquare(counts, wanted * counts.sum()).pvalue > 1e-4
        np.testing.assert_allclose([draws.probability[i] for i in range(STORED)], wanted, rtol=1e-5)
    assert stats.chisquare(counts).pvalue < 1e-100  # what the test would not take for uniform


def test_new_transitions_get_the_largest_priority_so_far(replay: Replay, settings: Config) -> None:
    fill(replay)
    draws = Draws(replay)
    draws.counts()
    errors = np.full(STORED, 0.5)
    errors[3] = 9.0
    draws.update(replay, errors)
    draws.update(replay, np.full(STORED, 0.5))  # that largest one has gone: it was the largest all the same
    fill(replay, 2, first=STORED)
    for _ in range(20):
        draws.batch()
    all_errors = np.concatenate([np.full(STORED, 0.5), np.full(8, 9.0)])
    np.testing.assert_allclose(
        [draws.probability[i] for i in range(STORED + 8)], expected(all_errors, settings.replay.shards), rtol=1e-5
    )


def test_of_several_errors_for_one_transition_the_last_counts(replay: Replay) -> None:
    fill(replay)
    draws = Draws(replay)
    draws.counts()
    keys = np.stack([draws.keys[5], draws.keys[6], draws.keys[5], draws.keys[6]])
    replay.update_priorities(ItemPriorities(keys, np.array([100.0, 0.0, 0.0, 100.0], np.float32)))
    arrived(replay)
    counts = draws.counts()
    assert counts[6] > 5 * counts[7] > 25 * counts[5]


def test_what_is_no_longer_stored_is_passed_over(tmp_path: Path, settings: Config) -> None:
    with closing(make_replay(config(**(backend_of(settings) | {"capacity": STORED})), VECTOR, tmp_path)) as replay:
        fill(replay)
        draws = Draws(replay)
        draws.counts()
        old = dict(draws.keys)
        fill(replay, first=STORED)  # over all of them
        keys = np.stack([old[i] for i in range(STORED)])
        replay.update_priorities(ItemPriorities(keys, np.linspace(0, 50, STORED).astype(np.float32)))
        arrived(replay)
        for _ in range(3):
            draws.batch()
        counts = np.bincount(np.concatenate([draws.batch() for _ in range(40)]) - STORED, minlength=STORED)
        assert stats.chisquare(counts).pvalue > 1e-4


def test_priorities_and_keys_are_kept_with_what_is_stored(replay: Replay, settings: Config, tmp_path: Path) -> None:
    fill(replay)
    draws = Draws(replay)
    draws.counts()
    errors = np.random.default_rng(3).gamma(0.5, size=STORED)
    errors[2] = 30.0
    draws.update(replay, errors)
    (directory := tmp_path / "saved").mkdir()
    replay.save(directory)
    with closing(make_replay(settings, VECTOR, tmp_path)) as restored:
        restored.restore(directory)
        restored.load_state(replay.state())
        after = Draws(restored)
        counts = after.counts()
        wanted = expected(errors, settings.replay.shards)
        assert stats.chisquare(counts, wanted * counts.sum()).pvalue > 1e-4
        after.keys = draws.keys  # those of before
        later = 0.1 * errors[::-1]  # so that the largest is known from the state alone
        after.update(restored, later)
        counts = after.counts()
        wanted = expected(later, settings.replay.shards)
        assert stats.chisquare(counts, wanted * counts.sum()).pvalue > 1e-4
        fill(restored, 1, first=STORED)
        for _ in range(20):
            after.batch()
        largest = expected(np.concatenate([later, np.full(4, 30.0)]), settings.replay.shards)
        np.testing.assert_allclose(after.probability[STORED], largest[STORED], rtol=1e-5)


def test_another_exponent_is_another_table(tmp_path: Path) -> None:
    settings = config(backend="reverb")
    with closing(make_replay(settings, VECTOR, tmp_path)) as replay:
        fill(replay)
        (directory := tmp_path / "saved").mkdir()
        replay.save(directory)
    other = Config(replay=settings.replay, priorities=Priorities(exponent=0.5))
    with (
        closing(make_replay(other, VECTOR, tmp_path)) as replay,
        pytest.raises(ConfigError, match=r"priorities' exponent 0\.6, now 0\.5"),
    ):
        replay.restore(directory)


def scaled(scale: PriorityScale, *errors: float) -> list[float]:
    return scale(np.array(errors, np.float32)).tolist()


def test_an_error_that_is_not_known_counts_as_the_largest_so_far() -> None:
    scale = PriorityScale(Priorities(exponent=0.6, epsilon=0.25))
    assert scaled(scale, np.nan, 0.5) == [1.0, 0.75]  # 1 at first
    assert scaled(scale, np.nan, 3.0, 0.0) == [3.25, 3.25, 0.25]  # those of the same call count already
    assert scaled(scale, 2.0, np.nan) == [2.25, 3.25]
    assert scaled(scale, np.nan, np.nan) == [3.25, 3.25]
    assert scaled(scale) == []
    scale.raise_to(3.0)
    assert scale.largest == 3.25
    scale.raise_to(4.0)
    assert scaled(scale, np.nan) == [4.0]
