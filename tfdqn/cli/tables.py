"""Tables that show every figure whole, and break no path or id, however narrow the terminal is."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_GAP = 2  # between two columns
_INDENT = "  "


class WholeTable:
    """Columns of text, which may be broken between words, and of figures, which may not, nor may the first column.

    Where they don't fit, figures stand in several tables, each with the first column; where even one column does not
    fit beside the first, or there are no figures, each row becomes a few lines. Of a cell of several lines, the first
    alone is broken: the others are to be copied.

    `text` are the heads of the columns of text, `right` those of figures; without `has_head` they take no line.
    """

    def __init__(self, *text: str, right: Sequence[str] = (), has_head: bool = True):
        self._heads = [*text, *right]
        self._texts = len(text)
        self._has_head = has_head
        self._rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        self._rows.append(cells)

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def fits(self, width: int) -> bool:
        """Whether it is one table in that many columns of a terminal."""
        return self._least_width(range(len(self._heads))) <= width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        parts = list(self._parts(options.max_width))
        if any(self._least_width(part) > options.max_width for part in parts):
            yield from self._rows_as_lines(options.max_width)
            return
        for index, part in enumerate(parts):
            if index:
                yield Text()
            yield from _without_trailing_blanks(console, options, self._drawn(part, options.max_width))

    def _parts(self, width: int) -> Iterator[Sequence[int]]:
        """The columns of each table: the first, and as many of the others as there is room for, one at least."""
        columns = range(len(self._heads))
        if self.fits(width) or self._texts == len(columns):
            yield columns
            return
        part = [0]
        for column in columns[1:]:
            if len(part) > 1 and self._least_width([*part, column]) > width:
                yield part
                part = [0]
            part.append(column)
        yield part

    def _least_width(self, columns: Sequence[int]) -> int:
        return sum(self._widths(column)[0] for column in columns) + _GAP * (len(columns) - 1)

    def _widths(self, column: int) -> tuple[int, int]:
        """The least that it can have, and what it would fill."""
        cells = [self._heads[column], *(row[column] for row in self._rows)]
        whole = max(cell_len(line) for cell in cells for line in cell.split("\n"))
        may_be_broken = 0 < column < self._texts
        return max(map(_least, cells)) if may_be_broken else whole, whole

    def _drawn(self, columns: Sequence[int], width: int) -> Table:
        table = Table(box=None, pad_edge=False, show_header=self._has_head)
        spare = width - self._least_width(columns)
        for column in columns:
            least, whole = self._widths(column)
            more = min(whole - least, spare)
            spare -= more
            justify = "left" if column < self._texts else "right"
            table.add_column(Text(self._heads[column]), justify=justify, width=least + more, overflow="fold")  # type: ignore[arg-type]
        for row in self._rows:
            table.add_row(*(Text(row[column]) for column in columns))
        return table

    def _rows_as_lines(self, width: int) -> Iterator[RenderableType]:
        for name, *cells in self._rows:
            yield Text(name)
            for head, cell in zip(self._heads[1:], cells, strict=True):
                first, *to_copy = cell.split("\n")
                text = f"{head}: {first}" if head and first else first
                room = max(width - len(_INDENT), 1)
                wrapped = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
                for line in [*wrapped, *to_copy]:
                    yield Text(_INDENT + line)


def pairs_table(rows: Iterable[tuple[str, str]]) -> WholeTable:
    """Names and values, without a head."""
    table = WholeTable("", "", has_head=False)
    for row in rows:
        table.add_row(*row)
    return table


def print_whole(console: Console, *shown: RenderableType) -> None:
    """Prints it; lines with a word that is longer than the terminal is wide are broken by the terminal alone."""
    for each in shown:
        console.print(each, soft_wrap=True)


def _without_trailing_blanks(console: Console, options: ConsoleOptions, table: Table) -> Iterator[Segment]:
    """The lines of a table, whose cells are padded to the widths of their columns, the last one's too."""
    for line in console.render_lines(table, options, pad=False):
        text = "".join(segment.text for segment in line)
        yield from Segment.adjust_line_length(line, cell_len(text.rstrip()), pad=False)
        yield Segment.line()


def _least(cell: str) -> int:
    """The width of its longest word, or of a longer line that is to be copied."""
    first, *to_copy = cell.split("\n")
    return max(map(cell_len, [*first.split(), *to_copy]), default=0)
