"""docs/method.md, and the mark of a test that holds one of its numbered equations against a function."""

import importlib
from collections.abc import Callable
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "method.md").read_text(encoding="utf-8")

Test = Callable[..., None]


def equation(number: int, function: str) -> Callable[[Test], Test]:
    """Marks the test that transcribes this equation into NumPy and holds this function against it."""
    assert rf"\tag{{{number}}}" in PAGE, f"the page has no equation {number}"
    assert f"`{function}`" in PAGE, f"equation {number}: the page does not name {function}"
    return lambda test: test


def resolve(dotted: str) -> object:
    """The module, class or function of that name."""
    parts = dotted.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for name in parts[split:]:
            found = getattr(found, name)
        return found
    raise AssertionError(f"{dotted} does not exist")
