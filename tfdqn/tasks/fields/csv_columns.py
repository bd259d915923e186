"""Reads columns of a user's CSV file; every error names the file, the row and the column in one line."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tfdqn.errors import TaskError


class Cell(NamedTuple):
    """A cell of the file."""

    text: str
    place: str  # such as "prices.csv, row 27, column price"

    def number(self, meaning: str) -> float:
        """The cell's number. Raises TaskError if it is empty, no number or not finite; `meaning` is for the error."""
        try:
            value = float(self.text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{self.text!r} is not a {meaning}")
        return value

    def error(self, what: str) -> TaskError:
        """The error to raise for what is wrong with the cell."""
        return TaskError(f"{self.place}: {what}")


def read_rows(file: str, columns: tuple[str, ...]) -> Iterator[tuple[Cell, ...]]:
    """Yields the cells of these columns, row by row. Empty lines are skipped; a row's number is that of its line.

    Raises TaskError if the file can't be read, lacks a column, has no rows, or has more cells in a row than in its
    header.
    """
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TaskError(f"{file}: can't be read: {error}") from error
    if not rows or not set(columns) <= rows[0][1].keys():
        raise TaskError(f"{file}: a header with the columns {' and '.join(columns)}, and rows below it, are needed")
    for number, row in rows:
        if None in row:  # because of decimal commas, for example
            raise TaskError(f"{file}, row {number}: more cells than the header has columns")
        yield tuple(Cell(row[name] or "", f"{file}, row {number}, column {name}") for name in columns)
