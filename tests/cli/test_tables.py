"""On a terminal of any width no figure, path or command is cut or broken."""

import io

import pytest
from rich.console import Console
from rich.live import Live

from tfdqn.cli.tables import WholeTable, pairs_table, print_whole

ROWS = (("1", "finished", "495.50", "1,200,000"), ("2", "stopped by a signal", "-1,109.123", "270"))
PATH = "runs/cartpole-seed1/checkpoints/000014"
COMMAND = "tfdqn train configs/cartpole.toml agent.n_step=3 --run-dir runs/cartpole-seed1"


def printed(table: WholeTable, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, highlight=False, color_system=None)
    print_whole(console, table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def the_table() -> WholeTable:
    table = WholeTable("seed", "status", right=("final evaluation", "steps"))
    for row in ROWS:
        table.add_row(*row)
    return table


def test_where_it_fits_each_row_is_a_line() -> None:
    assert printed(the_table(), 80) == [
        "seed  status               final evaluation      steps",
        "1     finished                       495.50  1,200,000",
        "2     stopped by a signal        -1,109.123        270",
    ]


@pytest.mark.parametrize("width", [20, 32, 46, 80, 10_000])
def test_no_line_ends_in_blanks_however_long_the_last_column_s_others_are(width: int) -> None:
    table = WholeTable("task", "usable")
    for row in (("Chain-v0", "yes"), ("Maze-v0", "no: the package maze is not installed"), ("Ω-v0", "")):
        table.add_row(*row)
    lines = [*printed(table, width), *printed(the_table(), width)]
    assert [line for line in lines if line != line.rstrip()] == []
    assert "Maze-v0" in " ".join(lines)


def test_text_is_broken_between_words_before_there_are_several_tables() -> None:
    assert printed(the_table(), 46) == [
        "seed  status       final evaluation      steps",
        "1     finished               495.50  1,200,000",
        "2     stopped by         -1,109.123        270",
        "      a signal",
    ]


def test_figures_that_do_not_fit_are_in_tables_of_their_own() -> None:
    assert printed(the_table(), 32) == [
        "seed  status    final evaluation",
        "1     finished            495.50",
        "2     stopped         -1,109.123",
        "      by a",
        "      signal",
        "",
        "seed      steps",
        "1     1,200,000",
        "2           270",
    ]


@pytest.mark.parametrize("width", [20, 21, 24, 30, 33, 40, 45, 54, 55, 60, 80])
def test_every_figure_is_whole(width: int) -> None:
    lines = printed(the_table(), width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for row in ROWS:
        assert {row[2], row[3]} <= set(words)


def test_where_one_column_is_too_wide_each_row_is_a_few_lines() -> None:
    assert printed(the_table(), 20)[:5] == [
        "1",
        "  status: finished",
        "  final evaluation:",
        "  495.50",
        "  steps: 1,200,000",
    ]


@pytest.mark.parametrize("width", [24, 40, 60, 100])
def test_what_is_to_be_copied_is_a_line_of_its_own_and_never_broken(width: int) -> None:
    pairs = [("status", f"not finished; to resume:\n{COMMAND}"), ("checkpoint", f"{PATH}: 400,000 steps [box2d]")]
    lines = printed(pairs_table(pairs), width)
    assert [line.split(None, 1) for line in lines].count(COMMAND.split(None, 1)) == 1
    assert f"{PATH}:" in " ".join(lines).split() and "[box2d]" in lines[-1]


def test_a_live_table_breaks_what_would_be_cut() -> None:
    console = Console(file=io.StringIO(), width=24, force_terminal=True, color_system=None)
    with Live(pairs_table([("checkpoint", PATH)]), console=console, auto_refresh=False) as live:
        live.refresh()
    assert PATH in "".join(console.file.getvalue().split())  # type: ignore[attr-defined]
