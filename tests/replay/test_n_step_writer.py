"""The vectorised n-step writer equals the definition, and keeps episodes apart."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.random_episodes import BRANCHING, MIXED, VECTOR, multiset, naive_transitions, random_steps
from tfdqn.errors import NotFiniteError
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Experience, Step


def written(spec: TaskSpec, taken: list[Experience], n: int, discount: float) -> list[dict[str, Any]]:
    codec, rows = TransitionCodec(spec), []
    writer = NStepWriter(codec, len(taken[0].action), Horizon(n, discount), lambda new: rows.append(new.copy()))
    counted = sum(writer.write(step) for step in taken)
    finished = as_dicts(codec, rows)
    assert counted == len(finished)
    return finished


def as_dicts(codec: TransitionCodec, rows: list[np.ndarray]) -> list[dict[str, Any]]:
    """uint8 rows → one dict of fields each."""
    structured = codec.from_bytes(np.concatenate([np.zeros((0, codec.row_bytes), np.uint8), *rows]))
    return [{name: row[name] for name in row.dtype.names} for row in structured]


def rounded(transitions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """R and the discount as the rows hold them."""
    single = {"reward": np.float32, "discount": np.float32}
    return [row | {name: kind(row[name]) for name, kind in single.items()} for row in transitions]


def episode(rewards: list[float], *, terminated: bool, truncated: bool = False) -> list[Experience]:
    """One environment whose observation counts its steps: o_t = [t, t, t, t]."""
    taken = []
    for time, reward in enumerate(rewards):
        last = time == len(rewards) - 1
        before, after = ({"observation": np.full((1, 4), t, np.float32)} for t in (time, time + 1))
        ends = np.array([last and terminated]), np.array([last and truncated])
        step = Step(after, np.float32([reward]), *ends, np.array([False]), None)
        taken.append(Experience(before, None, np.int32([0]), step))
    return taken


def summary(transitions: list[dict[str, Any]]) -> list[tuple[float, float, float, float]]:
    """(t, t + k, R, discount)."""
    names = ("observation/observation", "next_observation/observation", "reward", "discount")
    return [tuple(float(np.ravel(row[name])[0]) for name in names) for row in transitions]


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    spec=st.sampled_from([VECTOR, MIXED, BRANCHING]),
    num_envs=st.integers(1, 5),
    length=st.integers(1, 40),
    n=st.integers(1, 7),
    discount=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    end_probability=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    break_probability=st.sampled_from([0.0, 0.1]),
)
def test_the_fast_writer_equals_the_naive_one(
    seed: int,
    spec: TaskSpec,
    num_envs: int,
    length: int,
    n: int,
    discount: float,
    end_probability: float,
    break_probability: float,
) -> None:
    rng = np.random.default_rng(seed)
    taken = random_steps(spec, num_envs, length, rng, end_probability, break_probability)
    fast, naive = written(spec, taken, n, discount), rounded(naive_transitions(taken, n, discount))
    for found, expected in zip(ordered(fast), ordered(naive), strict=True):
        assert found["reward"] == pytest.approx(expected["reward"], rel=1e-6, abs=1e-6)
        assert found["discount"] == pytest.approx(expected["discount"], rel=1e-6)
    assert multiset(without_reward(fast)) == multiset(without_reward(naive))


def ordered(transitions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(transitions, key=lambda row: multiset(without_reward([row])))


def without_reward(transitions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sums of rewards may be rounded differently; all else must be equal to the bit."""
    return [{name: row[name] for name in row if name not in ("reward", "discount")} for row in transitions]


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_envs=st.integers(1, 4),
    ends=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    discounts=st.tuples(st.sampled_from([0.0, 0.5, 0.97]), st.sampled_from([0.0, 0.9, 0.997])),
    steps=st.integers(1, 60),
)
def test_the_fast_writer_equals_the_naive_one_by_a_schedule(
    seed: int, num_envs: int, ends: tuple[int, int], discounts: tuple[float, float], steps: int
) -> None:
    rng = np.random.default_rng(seed)
    taken = random_steps(VECTOR, num_envs, 40, rng, 0.1, 0.05)
    horizon = Horizon(ends[0], discounts[0], ends[1], discounts[1], steps)
    at = [horizon.at(num_envs * time) for time in range(len(taken))]
    codec, rows = TransitionCodec(VECTOR), []
    writer = NStepWriter(codec, num_envs, horizon, lambda new: rows.append(new.copy()))
    for time, step in enumerate(taken):
        if time == 20:  # a writer that goes on from a checkpoint
            saved = writer.state()
            writer = NStepWriter(codec, num_envs, horizon, lambda new: rows.append(new.copy()))
            writer.load_state(saved)
        writer.write(step._replace(env_steps=num_envs * time))
    found, expected = as_dicts(codec, rows), rounded(naive_transitions(taken, 0, 0.0, at))
    for fast, naive in zip(ordered(found), ordered(expected), strict=True):
        assert fast["reward"] == pytest.approx(naive["reward"], rel=1e-6, abs=1e-6)
        assert fast["discount"] == pytest.approx(naive["discount"], rel=1e-6)


def test_a_terminated_episodes_tail_is_written_without_bootstrap() -> None:
    # γ = 0.5, n = 3, rewards 1, 2, 4, 8: R_0 = 1 + 1 + 1, R_1 = 2 + 2 + 2, R_2 = 4 + 4, R_3 = 8.
    found = summary(written(VECTOR, episode([1, 2, 4, 8], terminated=True), 3, 0.5))
    assert found == [(0, 3, 3, 0.125), (1, 4, 6, 0), (2, 4, 8, 0), (3, 4, 8, 0)]


def test_a_truncated_episodes_tail_bootstraps_from_the_true_last_observation() -> None:
    found = summary(written(VECTOR, episode([1, 2, 4, 8], terminated=False, truncated=True), 3, 0.5))
    assert found == [(0, 3, 3, 0.125), (1, 4, 6, 0.125), (2, 4, 8, 0.25), (3, 4, 8, 0.5)]


def test_an_episode_shorter_than_n_is_written_whole() -> None:
    found = summary(written(VECTOR, episode([1, 2], terminated=True), 5, 0.5))
    assert found == [(0, 2, 2, 0), (1, 2, 2, 0)]


def test_an_episode_that_goes_on_keeps_its_last_windows_open() -> None:
    assert summary(written(VECTOR, episode([1, 2, 4], terminated=False), 3, 0.5)) == [(0, 3, 3, 0.125)]


def test_a_row_that_only_carries_a_reset_writes_nothing_and_drops_open_windows() -> None:
    running = episode([1, 1], terminated=False)
    reset = running[0].step._replace(is_reset=np.array([True]))
    taken = [*running, running[0]._replace(step=reset), *episode([1, 1, 1], terminated=True)]
    assert summary(written(VECTOR, taken, 3, 0.5)) == [(0, 3, 1.75, 0), (1, 3, 1.5, 0), (2, 3, 1, 0)]


def test_an_episode_that_follows_without_a_reset_row_is_kept_apart_too() -> None:
    taken = [*episode([1, 1], terminated=True), *episode([1, 1], terminated=True)]
    assert summary(written(VECTOR, taken, 3, 0.5)) == [(0, 2, 1.5, 0), (1, 2, 1, 0)] * 2


def test_saved_windows_go_on_as_if_nothing_had_happened() -> None:
    taken = random_steps(MIXED, 3, 30, np.random.default_rng(5), 0.1)
    codec = TransitionCodec(MIXED)
    whole: list[np.ndarray] = []
    resumed: list[np.ndarray] = []
    first = NStepWriter(codec, 3, Horizon(4, 0.9), lambda new: whole.append(new.copy()))
    for step in taken[:13]:
        first.write(step)
    whole.clear()
    second = NStepWriter(codec, 3, Horizon(4, 0.9), lambda new: resumed.append(new.copy()))
    second.load_state(first.state())
    for step in taken[13:]:
        first.write(step)
        second.write(step)
    np.testing.assert_array_equal(np.concatenate(whole), np.concatenate(resumed))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ends", [False, True])
def test_a_sum_of_rewards_that_float32_can_not_hold_is_an_error(ends: bool) -> None:
    rows: list[np.ndarray] = []
    writer = NStepWriter(TransitionCodec(VECTOR), 2, Horizon(3, 1.0), lambda new: rows.append(new.copy()))
    observation, false = {"observation": np.zeros((2, 4), np.float32)}, np.zeros(2, bool)

    def write(rewards: list[float], terminated: bool = False) -> None:
        over = np.array([False, terminated])
        step = Step(observation, np.array(rewards, np.float32), over, false, false, None)
        writer.write(Experience(observation, None, np.zeros(2, np.int32), step))

    write([1, 3e38])
    write([1, -3e38])  # the sum is what counts
    write([1, 3e38])
    write([1, -3e38], ends)
    write([3e38, 3e38])
    with pytest.raises(NotFiniteError, match=r"the sum of 3 rewards of environment 0 is 6e\+38"):
        write([3e38, 0], ends)
        write([0, 0])
    assert all(np.isfinite(TransitionCodec(VECTOR).from_bytes(each)["reward"]).all() for each in rows)
