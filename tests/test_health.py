"""`tfdqn health` without a role: what an image says of whatever runs in it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import tfdqn, write_config
from tfdqn import cli
from tfdqn.beat_files import VARIABLE, write_sign
from tfdqn.command_signs import read_command_sign, signs_of_life
from tfdqn.topology import Member, Role

ACTOR, LEARNER = Member(Role.ACTOR, 1), Member(Role.LEARNER)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "beats"))
    return tmp_path / "beats"


def health(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    status = cli.main(["health", *arguments])
    return status, capsys.readouterr().out.splitlines()


def test_where_nobody_gives_signs_nobody_is_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert health(capsys) == (1, [f"nobody gives signs of life in {folder}"])


def test_everybody_is_asked_and_one_that_is_silent_is_enough(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for member in (ACTOR, LEARNER):
        write_sign(folder / f"{member.file_stem}.json", member, "at work", 1.0)
    mine = f"(process {os.getpid()})"
    assert health(capsys) == (0, [f"actor 1: at work {mine}", f"learner 0: at work {mine}"])
    silence = json.loads((folder / "actor-1.json").read_text()) | {"seconds": time.time() - 100}
    (folder / "actor-1.json").write_text(json.dumps(silence))
    status, lines = health(capsys)
    assert status == 1
    assert lines == [f"actor 1: silent for 100 s, after at work {mine}", f"learner 0: at work {mine}"]
    assert health(capsys, "--within", "1000")[0] == 0


def test_who_has_ended_is_no_longer_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "from tfdqn.command_signs import signs_of_life; import os, time\n"
    code += "with signs_of_life('serve'): time.sleep(0.5); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    (left,) = folder.glob("*.json")
    assert (sign := read_command_sign(left)) is not None and sign.command == "serve"
    assert health(capsys)[0] == 1


def test_signs_go_on_while_a_command_runs_and_go_with_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with signs_of_life("launch"):
        deadline = time.monotonic() + 60
        seen: set[float] = set()
        while len(seen) < 2:
            assert time.monotonic() < deadline
            seen |= {sign.seconds for file in folder.glob("*.json") if (sign := read_command_sign(file))}
        assert health(capsys) == (0, [f"launch: running (process {os.getpid()})"])
    assert health(capsys)[0] == 1


def test_who_can_t_give_signs_runs_all_the_same(folder: Path) -> None:
    folder.write_text("a file")
    with signs_of_life("train"):
        pass
    assert folder.read_text() == "a file"


def test_training_is_well_from_its_beginning(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    with tfdqn(tmp_path, "train", config, environment={VARIABLE: str(folder)}) as process:
        process.until(lambda: cli.main(["health"]) == 0, "sign of life")
        assert f"train: running (process {process.pid})" in capsys.readouterr().out
