"""The list of seeds of `tfdqn train --seeds`: its order, and one line for what is none."""

import pytest

from tfdqn.cli.seeds import read_seeds
from tfdqn.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("1", [1]),
        ("0", [0]),
        ("1-3", [1, 2, 3]),
        ("7-7", [7]),
        ("8,1-2, 5", [8, 1, 2, 5]),
        ("1-1000", [*range(1, 1001)]),
    ],
)
def test_seeds_and_ranges_are_taken_in_their_order(text: str, seeds: list[int]) -> None:
    assert read_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5-1", "--seeds 5-1: the first seed of a range must not be larger than the last, as in 1-5"),
        ("a", "--seeds a: 'a' is neither a seed nor a range; give them like 1-5 or 1,2,8"),
        ("", "--seeds : '' is neither a seed nor a range"),
        ("1,,2", "'' is neither a seed nor a range"),
        ("-1", "'-1' is neither a seed nor a range"),
        ("1.5", "'1.5' is neither a seed nor a range"),
        ("1-2-3", "'1-2-3' is neither a seed nor a range"),
        ("²", "'²' is neither a seed nor a range"),
        ("1-3,2", "--seeds 1-3,2: 2 is given twice"),
        ("0-3,0", "--seeds 0-3,0: 0 is given twice"),
        ("1-1001", "--seeds 1-1001: more than 1,000 seeds"),
        ("1-9999999999", "more than 1,000 seeds"),
        (",".join(map(str, range(1_001))), "...: more than 1,000 seeds"),
    ],
)
def test_what_is_no_list_of_seeds_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_seeds(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)
