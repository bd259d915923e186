"""Job shops are read as they stand; what is none is one line with row and column."""

from pathlib import Path

import numpy as np
import pytest

from tfdqn.errors import TaskError
from tfdqn.tasks.fields.job_shop import INSTANCES, OPTIMA, read_instance

# Of Fisher and Thompson 1963 and Lawrence 1984: jobs, machines, all work, the longest job, the most loaded machine. The
# makespan is at least the greater of the last two.
KNOWN = {"ft06": (6, 6, 197, 47, 43), "la01": (10, 5, 2849, 413, 666)}


@pytest.mark.parametrize("name", INSTANCES)
def test_the_known_ones_are_those_of_the_literature(name: str) -> None:
    shop = read_instance(name)
    jobs, machines, work, longest, loaded = KNOWN[name]
    assert shop.times.shape == shop.machines.shape == (jobs, machines)
    assert shop.times.sum() == work
    assert shop.times.sum(axis=1).max() == longest
    assert max(shop.times[shop.machines == machine].sum() for machine in range(machines)) == loaded
    assert OPTIMA[name] >= max(longest, loaded)


def test_a_file_is_read_with_and_without_its_head(tmp_path: Path) -> None:
    rows = "1 5 0 2\n0 3 1 4\n0 1 1 9\n"
    for text in (rows, f"# a shop\n3 2\n{rows}", f"\n{rows}\n"):
        (tmp_path / "shop.txt").write_text(text)
        shop = read_instance(str(tmp_path / "shop.txt"))
        np.testing.assert_array_equal(shop.machines, [[1, 0], [0, 1], [0, 1]])
        np.testing.assert_array_equal(shop.times, [[5, 2], [3, 4], [1, 9]])


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "there is no job in it"),
        ("0 3 1 x\n0 1 1 1", "row 1, column 4: 'x' is not a whole number"),
        ("0 3 1 4\n0 1.5 1 1", "row 2, column 2: '1.5' is not a whole number"),
        ("0 3 1 4\n0 -1 1 1", "row 2, column 2: '-1' is not a whole number"),
        ("# shop\n2 2\n0 3 1 4\n0 1 0 1", "row 4: a job needs each machine from 0 to 1 once"),
        ("0 3 1 4\n0 1", "row 2: a job needs each machine"),
        ("0 3 1 4\n0 1 1", "row 2: a job needs each machine"),
        ("7", "row 1: a job needs each machine"),
        ("0 3 1 4\n0 2 1 0", "row 2, column 4: a time above 0"),
    ],
)
def test_what_is_no_job_shop_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "shop.txt"
    file.write_text(text)
    with pytest.raises(TaskError) as caught:
        read_instance(str(file))
    assert str(caught.value).startswith(f"{file}") and said in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_name_says_what_is_known() -> None:
    with pytest.raises(TaskError, match="ft07 is neither one of ft06, la01 nor a file"):
        read_instance("ft07")
