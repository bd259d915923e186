"""Every way to divide the work solves CartPole-v1 from its own file, as the processes that a user would start."""

import json
from pathlib import Path

import pytest

from tests.support.commands import PROJECT, tfdqn

# All but that of a loss, which tests/system_tests/test_learning.py trains.
FILES = sorted({path.name for path in (PROJECT / "configs").glob("cartpole-*.toml")} - {"cartpole-munchausen.toml"})


def test_every_way_has_its_file() -> None:
    ways = {"mirrored", "multi-worker", "parameter-server", "averaging", "model-parallel", "mesh"}
    assert sorted(f"cartpole-{way}.toml" for way in {*ways, "ensemble", "ensemble-processes", "actors"}) == FILES


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("file", FILES)
def test_cartpole_is_solved(file: str, tmp_path: Path) -> None:
    with tfdqn(tmp_path, "train", str(PROJECT / "configs" / file), "--run-dir", "run") as process:
        assert process.ended_within(1000), process.out
        assert process.ended() == 0, process.err
        assert process.relatives() == []
    final = json.loads((tmp_path / "run" / "summary.json").read_text())["final"]
    assert final["episodes"] == 100
    assert final["mean_return"] >= 475
