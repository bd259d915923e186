"""The reference of every key in Markdown: what `tfdqn config --reference` prints, and docs/configuration.md holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from tfdqn.config.fields import kinds, takes_own_kinds
from tfdqn.config.reader import bare_type, built_in, literals
from tfdqn.config.schema import Config, keys
from tfdqn.config.toml import meaning, written
from tfdqn.config.wording import described

_HEAD = """# Every key of a configuration

This page is what `tfdqn config --reference` prints; `tfdqn config FILE` prints one configuration in full. A key that a
file does not give has its default; – means that it has none. *Resume* says whether a run can be resumed with another
value."""
_COLUMNS = ("key", "default", "values", "meaning", "resume")
_Row = tuple[str, ...]  # a cell for each column


def reference() -> str:
    """Every key of every kind that the package has: its default, the values that it takes, and what it means."""
    sections = [field for field in structs.fields(Config) if kinds(field.type)]
    alone = [field for field in structs.fields(Config) if field not in sections]
    parts = [_HEAD, _table({row: () for row in _rows("", Config(), alone)})]
    for section in sections:
        by_kind = kinds(section.type)
        own = set(built_in(by_kind))
        or_own = ", or one of your own" * takes_own_kinds(section.type)
        ours = {kind: struct for kind, struct in by_kind.items() if kind in own}
        parts += [f"## [{section.name}]", *_section(section.name, ours, or_own)]
    return "\n\n".join(parts) + "\n"


def _section(name: str, by_kind: Mapping[str, type[Struct]], or_own: str) -> list[str]:
    """The parts of a section: what it is, or its kinds, and the table of keys. `or_own`: words after the kinds."""
    rows: dict[_Row, list[str]] = {}
    for kind, struct in by_kind.items():
        for row in _rows(f"{name}.", struct(), structs.fields(struct)):
            rows.setdefault(row, []).append(kind)
    if "" in by_kind:
        return [_docstring(by_kind[""]), _table(rows)]
    default = written(getattr(Config(), name).kind)
    kinds_in_words = [f"- `{kind}`: {_docstring(struct)}" for kind, struct in by_kind.items()]
    return [
        f"`{name}.kind` is one of these{or_own}; the default is `{default}`.",
        "\n".join(kinds_in_words),
        _table(rows, tuple(by_kind)),
    ]


def _docstring(struct: type[Struct]) -> str:
    return " ".join((struct.__doc__ or "").split())


def _table(rows: Mapping[_Row, Sequence[str]], all_kinds: Sequence[str] = ()) -> str:
    """A table of rows, each with the kinds that have it, which are named where not all of `all_kinds` do."""
    lines = [_COLUMNS, ("---",) * len(_COLUMNS)]
    for (key, *others), having in rows.items():
        lacking = [kind for kind in all_kinds if kind not in having]
        named = f"not `{lacking[0]}`" if len(lacking) == 1 else ", ".join(f"`{kind}`" for kind in having)
        lines.append((f"`{key}`" + (f" ({named})" if lacking else ""), *others))
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _rows(prefix: str, struct: Struct, fields: Sequence[structs.FieldInfo]) -> list[_Row]:
    """A row for each key: its name, default, values and meaning, and whether it may change."""
    fixed, rows = keys(), list[_Row]()
    for field in fields:
        key, value = prefix + field.name, getattr(struct, field.name)
        default = "–" if value is None else f"`{written(value)}`"
        means, resume = meaning(field, lists_choices=False), "no" if "run" in fixed[key] else "yes"
        rows.append((key, default, _values(field.type), means, resume))
    return rows


def _values(key_type: Any) -> str:
    """The values that a key takes, in words."""
    allowed, extra = bare_type(key_type)
    if names := literals(key_type) or extra.get("names"):
        return ", ".join(f"`{each}`" for each in names) + (", or your own" if "names" in extra else "")
    return described(allowed)
