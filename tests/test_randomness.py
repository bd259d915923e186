"""Seeded streams: the same name gives the same numbers, another one others, and all can be put back."""

import numpy as np
import pytest

from tfdqn.randomness import derived_seed, generator_state, load_generator_state, stream


def test_the_same_name_gives_the_same_numbers() -> None:
    np.testing.assert_array_equal(stream(1, "actor", 3).random(5), stream(1, "actor", 3).random(5))


def test_any_other_seed_name_or_index_gives_other_numbers() -> None:
    others = [stream(2, "actor"), stream(1, "replay"), stream(1, "actor", 1), stream(1, "actor")]
    draws = {float(each.random()) for each in others}
    assert len(draws) == 4


def test_derived_seeds_fit_an_int32_and_rarely_meet() -> None:
    seeds = [derived_seed(seed, name, i) for seed in range(5) for name in "ab" for i in range(100)]
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert len(set(seeds)) == 1000
    assert derived_seed(3, "a", 7) == derived_seed(3, "a", 7)


def test_a_generator_goes_on_where_its_state_was_taken() -> None:
    generator = stream(1, "actor")
    generator.integers(10, size=3, dtype=np.int32)  # leaves half a word behind, which is part of the state
    state = generator_state(generator)
    assert state.dtype == np.uint8
    expected = generator.integers(10, size=9, dtype=np.int32), generator.normal(size=4)
    other = stream(9, "other")
    load_generator_state(other, state)
    np.testing.assert_array_equal(other.integers(10, size=9, dtype=np.int32), expected[0])
    np.testing.assert_array_equal(other.normal(size=4), expected[1])


def test_the_state_of_another_kind_of_generator_is_refused() -> None:
    with pytest.raises(ValueError, match="PCG64"):
        load_generator_state(stream(1, "x"), generator_state(np.random.Generator(np.random.PCG64DXSM(1))))
