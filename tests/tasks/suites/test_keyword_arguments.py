"""Arguments of a task whose kind is not that of their defaults."""

import numpy as np
import pytest

from tfdqn.tasks.suites.keyword_arguments import unlike_defaults

DEFAULTS = {
    "is_wet": True,
    "count": 3,
    "width": np.float32(0.5),
    "name": "8x8",
    "sizes": (1, 2),
    "settings": {"a": 1},
    "anything": None,
    "maker": object(),
}


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"is_wet": False, "count": 4, "width": 2, "name": "", "sizes": [3], "settings": {}},
        {"count": 2.5},  # 0 may be the default of a speed
        {"anything": "x", "maker": 3, "unheard_of": [1]},  # whose defaults tell nothing, or are none
    ],
)
def test_of_the_same_kind_nothing_is_said(kwargs: dict) -> None:
    assert unlike_defaults(kwargs, DEFAULTS) == ""


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("is_wet", "no", "true or false"),
        ("is_wet", 1, "true or false"),
        ("count", "3", "a number"),
        ("count", True, "a number"),
        ("width", [0.5], "a number"),
        ("name", 8, "a string"),
        ("sizes", 3, "a list"),
        ("settings", [], "a table"),
    ],
)
def test_of_another_kind_the_default_is_named(name: str, value: object, kind: str) -> None:
    line = unlike_defaults({name: value}, DEFAULTS)
    assert line.startswith(f"task.kwargs.{name} = ") and line.endswith(f"is {kind}")


def test_where_whole_numbers_stay_so_a_fraction_is_of_another_kind() -> None:
    assert unlike_defaults({"count": 2.5, "width": 2}, DEFAULTS, whole_stay_whole=True) == (
        "task.kwargs.count = 2.5, but its default, 3, is a whole number"
    )
