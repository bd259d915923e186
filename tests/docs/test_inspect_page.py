"""docs/inspect.md has every field that `tfdqn inspect --json` prints, with its type."""

import re
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import inspect

from tests.support.commands import PROJECT
from tfdqn.launch.inspector import Report
from tfdqn.tuning.seed_results import SeedsReport
from tfdqn.tuning.study_report import StudyReport

PAGE = (PROJECT / "docs" / "inspect.md").read_text(encoding="utf-8")
TYPES: dict[type[inspect.Type], str] = {
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "boolean",
    inspect.StrType: "string",
    inspect.EnumType: "string",
    inspect.NoneType: "null",
    inspect.StructType: "object",
    inspect.DictType: "object",
    inspect.VarTupleType: "array",
    inspect.TupleType: "array",
}


def words(found: inspect.Type) -> str:
    each = found.types if isinstance(found, inspect.UnionType) else (found,)
    return " or ".join(TYPES[type(one)] for one in each)


def fields(found: inspect.Type, path: str) -> Iterator[tuple[str, str]]:
    """The fields below a type, by path, and their types in words; those of seeds are only in their own table."""
    if isinstance(found, inspect.UnionType):
        for each in found.types:
            yield from fields(each, path)
    elif isinstance(found, inspect.VarTupleType):
        yield from fields(found.item_type, f"{path}[]")
    elif isinstance(found, inspect.StructType) and not (path and found.cls is SeedsReport):
        for field in found.fields:
            below = f"{path}.{field.encode_name}".lstrip(".")
            yield below, words(field.type)
            yield from fields(field.type, below)


@pytest.mark.parametrize(
    ("heading", "kind"), [("A run or a job", Report), ("Seeds", SeedsReport), ("A study", StudyReport)]
)
def test_the_table_has_what_is_printed(heading: str, kind: type[msgspec.Struct]) -> None:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE))
    assert rows == dict(fields(inspect.type_info(kind), ""))
