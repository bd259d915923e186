"""The Makefile's targets call these programs, which are stand-ins here: nothing is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import PROJECT

PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >>"$LOG"
case "$(basename "$0") $*" in *" install "*) exit "$(cat "$LOG.$(basename "$0")" 2>/dev/null || echo 0)" ;; esac
"""


def installed(folder: Path, *arguments: str, **statuses: int) -> list[str]:
    """What is installed by `make` with these arguments: by which program, and what; `statuses` are the programs'."""
    venv, log = folder / "venv", folder / "log"
    (venv / "bin").mkdir(parents=True)
    for name in ("python", "uv", "tfdqn", "ruff"):
        (venv / "bin" / name).write_text(PROGRAM)
        (venv / "bin" / name).chmod(0o755)
    for name, status in statuses.items():
        Path(f"{log}.{name}").write_text(str(status))
    make = ["make", "-C", str(PROJECT), "--no-print-directory", f"VENV={venv}", *arguments]
    environment = {"PATH": os.environ["PATH"], "LOG": str(log)}
    subprocess.run(make, env=environment, capture_output=True, text=True, timeout=120, check=True)
    lines = [line.split() for line in log.read_text().splitlines() if " install " in line]
    return [f"{each[0]} {each[-1]}" for each in lines]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("train", ["."]),
        ("lint", [".[dev]"]),
        ("test-tasks", [".[dev]", ".[tasks]", "opencv-python-headless"]),
        ("test-tracking", [".[dev]", ".[wandb,mlflow]"]),
    ],
)
def test_every_target_installs_by_the_chosen_installer_and_by_pip_where_that_fails(
    target: str, what: list[str], tmp_path: Path
) -> None:
    assert installed(tmp_path / "pip", target) == [f"python {each}" for each in what]
    by_uv = [line for each in what for line in ("python uv", f"uv {each}")]
    assert installed(tmp_path / "uv", target, "INSTALLER=uv") == by_uv
    assert installed(tmp_path / "both", target, "INSTALLER=uv", uv=1) == [
        line for each in what for line in ("python uv", f"uv {each}", f"python {each}")
    ]
