"""A user's CSV files: the columns that are needed, and every gap as one line with row and column."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tfdqn.errors import TaskError


class Cell(NamedTuple):
    """A text, and where it stands."""

    text: str
    place: str  # "prices.csv, row 27, column price"

    def number(self, meaning: str) -> float:
        """What it holds. Raises TaskError if it is empty, no number or not finite."""
        try:
            value = float(self.text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{self.text!r} is no {meaning}")
        return value

    def error(self, what: str) -> TaskError:
        """To raise for what is wrong with it."""
        return TaskError(f"{self.place}: {what}")


def read_rows(file: str, columns: tuple[str, ...]) -> Iterator[tuple[Cell, ...]]:
    """The cells of these columns, row by row; a row's number is its line's, of which empty ones are left out.

    Raises TaskError if there are no such rows, or one has more cells than the header.
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
        if None in row:  # a decimal comma, say
            raise TaskError(f"{file}, row {number}: it has more cells than the header has columns")
        yield tuple(Cell(row[name] or "", f"{file}, row {number}, column {name}") for name in columns)
