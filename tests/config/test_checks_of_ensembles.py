"""Contradictions between keys of `[ensemble]` are refused in one line."""

import pytest

from tests.config.test_checks import refusal

PARTITION = ("ensemble.size=3", "ensemble.data=partition")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (PARTITION, "ensemble.partition_edges = [] has 0 values, but ensemble.size = 3 needs 2"),
        (
            [*PARTITION, "ensemble.partition_edges=[1.0, 1.0]"],
            "ensemble.partition_edges = [1.0, 1.0]: each must be above the one before",
        ),
    ],
    ids=str,
)
def test_an_ensemble_that_cannot_be_is_refused(overrides: list[str], line: str) -> None:
    assert refusal(*overrides) == f"configuration: {line}"
