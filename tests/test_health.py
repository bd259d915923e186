"""`tfdqn health` without a role: what an image says of whatever runs in it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import tfdqn, write_config
from tfdqn import cli, command_signs
from tfdqn.beat_files import VARIABLE, read_sign, write_sign
from tfdqn.command_signs import signs_of_life
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
        write_sign(folder / f"{member.file_stem}.json", str(member), "at work", 1.0)
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
    code += "with signs_of_life('serve', print): time.sleep(0.5); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    (left,) = folder.glob("*.json")
    assert (sign := read_sign(left)) is not None and sign.name == "serve"
    assert health(capsys)[0] == 1


def test_signs_go_on_while_a_command_runs_and_go_with_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with signs_of_life("launch", pytest.fail):
        deadline = time.monotonic() + 60
        seen: set[float] = set()
        while len(seen) < 2:
            assert time.monotonic() < deadline
            seen |= {sign.seconds for file in folder.glob("*.json") if (sign := read_sign(file))}
        assert health(capsys) == (0, [f"launch: running (process {os.getpid()})"])
    assert health(capsys)[0] == 1


def test_who_can_t_give_signs_says_so_once_and_gives_them_when_it_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_signs, "_PERIOD_SECONDS", 0.01)
    folder.write_text("a file")
    said: list[str] = []
    with signs_of_life("train", said.append):
        deadline = time.monotonic() + 60
        while not said:
            assert time.monotonic() < deadline
        assert health(capsys)[0] == 1
        folder.unlink()
        while health(capsys)[0]:
            assert time.monotonic() < deadline
    (line,) = said
    assert line.startswith("warning: train: no sign of life can be written to ")


def test_training_is_well_from_its_beginning(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    with tfdqn(tmp_path, "train", config, environment={VARIABLE: str(folder)}) as process:
        process.until(lambda: cli.main(["health"]) == 0, "sign of life")
        assert f"train: running (process {process.pid})" in capsys.readouterr().out
