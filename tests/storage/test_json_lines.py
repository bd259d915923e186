"""Lines are whole and on the disk, wherever a kill came; those that a resumed run writes again are put aside."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_runs import lines
from tfdqn.storage.json_lines import append_line, put_aside, read_last_line, read_lines


def test_lines_are_on_disk_as_soon_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"env_steps": 1, "loss": 0.5})
    append_line(path, {"env_steps": 2, "loss": None})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"env_steps": 1, "loss": 0.5},
        {"env_steps": 2, "loss": None},
    ]


def test_what_is_not_finite_is_null_for_every_reader_of_json(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"a": float("nan"), "b": np.float64("inf"), "c": -float("inf"), "d": 1.5, "e": 2, "f": True})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {
        "a": None,
        "b": None,
        "c": None,
        "d": 1.5,
        "e": 2,
        "f": True,
    }


@pytest.mark.parametrize("left", ['{"env_steps": 1}\n', '{"env_steps": 1}\n{"env_st'])
def test_a_line_that_a_killed_writer_tore_does_not_swallow_the_next(tmp_path: Path, left: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(left)
    append_line(path, {"env_steps": 2})
    lines = path.read_text().splitlines()
    assert lines[0] == '{"env_steps": 1}'
    assert lines[-1] == '{"env_steps": 2}'
    assert len(lines) == len(left.splitlines()) + 1


def test_lines_that_are_no_records_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert list(read_lines(path)) == []
    path.write_bytes(b'{"env_steps": 1}\n{"env_st\n7\n\xff\n{"env_steps": 2}\n{"env_ste')
    assert list(read_lines(path)) == [{"env_steps": 1}, {"env_steps": 2}]


def test_lines_after_the_checkpoint_go_to_a_file_beside(tmp_path: Path) -> None:
    metrics, none = tmp_path / "metrics.jsonl", tmp_path / "evaluations.jsonl"
    written = [{"env_steps": step, "loss": step / 7} for step in (100, 200, 300, 400)]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in written) + '{"env_st')
    said = put_aside({metrics: 200, none: 200})
    taken_again = (
        "lines of the steps that are taken again were put aside: 2 of metrics.jsonl to metrics.superseded.jsonl"
    )
    assert said == taken_again
    assert metrics.read_text().splitlines() == [*map(json.dumps, written[:2]), '{"env_st']
    assert lines(tmp_path / "metrics.superseded.jsonl") == written[2:]
    assert put_aside({metrics: 200, none: 200}) == ""
    assert put_aside({metrics: -1, none: -2}) == taken_again  # it begins anew
    assert lines(tmp_path / "metrics.superseded.jsonl") == [*written[2:], *written[:2]]
    assert not none.exists()


def test_each_line_that_is_put_aside_is_one_wherever_a_kill_came(tmp_path: Path) -> None:
    metrics, aside = tmp_path / "metrics.jsonl", tmp_path / "metrics.superseded.jsonl"
    aside.write_text('{"env_st')  # while it was moved
    for step in (2, 3):
        metrics.write_text(f'{{"env_steps": 1}}\n{{"env_steps": {step}}}')  # before the line's end was written
        put_aside({metrics: 1})
    assert aside.read_text() == '{"env_st\n{"env_steps": 2}\n{"env_steps": 3}\n'


def test_the_last_whole_line_is_read_without_the_others(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    assert read_last_line(file) is None
    file.touch()
    assert read_last_line(file) is None
    for number in range(3_000):
        append_line(file, {"number": number})
    assert read_last_line(file) == {"number": 2_999}
    with file.open("a") as torn:
        torn.write('{"number": 3')
    assert read_last_line(file) == {"number": 2_999}
