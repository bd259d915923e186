"""Sequences are what the definition says, through ends, truncations and resets of every kind, and after a restart."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.naive_sequences import STATE_SIZE, Shape, naive_sequences
from tests.support.random_episodes import BRANCHING, MIXED, VECTOR, random_steps
from tfdqn.replay.rows import make_rows
from tfdqn.replay.sequence_writer import SequenceWriter
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Experience

NUM_ENVS = 3


def random_states(length: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(length, NUM_ENVS, STATE_SIZE)).astype(np.float32)


class Written:
    """Rows that a writer has made, and how many new steps it says that they have."""

    def __init__(self, shape: Shape, spec: TaskSpec):
        self.rows = make_rows(shape.config(), spec)
        self.content: list[np.ndarray] = []
        self.writer = self.new_writer()
        self.counted = 0

    def new_writer(self) -> SequenceWriter:
        return self.rows.writer(NUM_ENVS, lambda rows: self.content.append(rows.copy()))

    def write(self, taken: list[Experience], states: np.ndarray) -> None:
        for step, state in zip(taken, states, strict=True):
            self.counted += self.writer.write(step._replace(policy_state=(state,)))

    def decoded(self) -> list[dict[str, np.ndarray]]:
        """Every sequence, through the graph."""
        if not self.content:
            return []
        sequences = self.rows.decode(tf.constant(np.concatenate(self.content)))
        fields = {name: value for name, value in sequences._asdict().items() if value is not None}
        fields |= {f"observation/{key}": value for key, value in fields.pop("observation").items()}
        arrays = {name: value.numpy() for name, value in fields.items()}
        return [{name: array[i] for name, array in arrays.items()} for i in range(len(arrays["first"]))]


def assert_same(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> None:
    """In whatever order; sums of rewards may differ in their last bit."""

    def place(sequence: dict[str, np.ndarray]) -> tuple[bytes, int]:
        return sequence["state"].tobytes(), int(sequence["first"])  # states are random, so each is of one time

    assert len(found) == len(expected)
    for one, other in zip(sorted(found, key=place), sorted(expected, key=place), strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_allclose(array, other[name], rtol=1e-6, atol=1e-7, err_msg=name)


@settings(max_examples=60)
@given(
    burn_in=st.integers(0, 6),
    length=st.integers(1, 7),
    period=st.integers(1, 7),
    n_step=st.integers(1, 4),
    end=st.sampled_from([0.0, 0.05, 0.3]),
    breaks=st.sampled_from([0.0, 0.1]),
    spec=st.sampled_from([VECTOR, MIXED, BRANCHING]),
    seed=st.integers(0, 1000),
)
def test_they_are_what_the_definition_says(
    burn_in: int, length: int, period: int, n_step: int, end: float, breaks: float, spec: TaskSpec, seed: int
) -> None:
    shape, rng = Shape(burn_in, length, min(period, length), n_step), np.random.default_rng(seed)
    taken = random_steps(spec, NUM_ENVS, 60, rng, end, breaks)
    states = random_states(60, rng)
    written = Written(shape, spec)
    written.write(taken, states)
    assert_same(written.decoded(), naive_sequences(taken, states, shape))


def test_each_step_counts_once_and_where_all_episodes_ended_all_do() -> None:
    shape, rng = Shape(2, 6, 2, 3), np.random.default_rng(5)
    taken = random_steps(VECTOR, NUM_ENVS, 80, rng, 0.15)
    resets = np.array([step.step.is_reset for step in taken])
    ends = np.array([step.step.terminated | step.step.truncated for step in taken])
    written = Written(shape, VECTOR)
    written.write(taken, random_states(80, rng))
    whole = sum(
        int((~resets[: last + 1, env]).sum()) for env in range(NUM_ENVS) for last in [np.flatnonzero(ends[:, env])[-1]]
    )
    under_way = sum(int((~resets[:, env]).sum()) for env in range(NUM_ENVS)) - whole
    assert whole <= written.counted <= whole + under_way
    assert written.counted > 100


@pytest.mark.parametrize("cut", [1, 17, 40])
def test_writing_goes_on_after_a_restart_as_if_there_had_been_none(cut: int) -> None:
    shape, rng = Shape(3, 5, 2, 2), np.random.default_rng(6)
    taken, states = random_steps(MIXED, NUM_ENVS, 60, rng, 0.1), random_states(60, rng)
    one, other = Written(shape, MIXED), Written(shape, MIXED)
    one.write(taken, states)
    other.write(taken[:cut], states[:cut])
    kept = other.writer.state()
    other.writer = other.new_writer()
    other.writer.load_state(kept)
    other.write(taken[cut:], states[cut:])
    np.testing.assert_array_equal(np.concatenate(one.content), np.concatenate(other.content))
    assert one.counted == other.counted


def test_an_episode_begins_without_a_memory_where_the_policy_gave_none() -> None:
    """As the first call of a run's policy does."""
    shape, rng = Shape(2, 3, 3, 1), np.random.default_rng(7)
    taken = random_steps(VECTOR, NUM_ENVS, 3, rng, 0.0)
    written = Written(shape, VECTOR)
    written.writer.write(taken[0])
    for step in taken[1:]:
        written.writer.write(step._replace(policy_state=(np.ones((NUM_ENVS, STATE_SIZE), np.float32),)))
    assert [each["state"].tolist() for each in written.decoded()] == [[0, 0, 0]] * NUM_ENVS
