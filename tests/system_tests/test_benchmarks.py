"""Every benchmark runs, as small as it can be: what its figures are is left aside."""

import json
import subprocess
import sys

import pytest

from tests.support.commands import PROJECT

SMALL = {
    "acting": ["--num-envs", "4"],
    "advised_runs": ["--trials", "2"],
    "asynchronous": ["--workers", "1", "--seconds", "0.1"],
    "family": ["--seconds", "0.01"],
    "frames": ["--steps", "2000"],
    "gpu": ["--small", "--networks", "mlp 120-84"],
    "huber": ["--env-steps", "21000"],
    "inference": ["--actors", "1"],
    "many_actors": ["--actors", "2", "--seconds", "1"],
    "memory": ["train", "configs/cartpole.toml", "--env-steps", "30000"],
    "model_parallel": ["--width", "16", "--seconds", "0.01"],
    "overlap": ["--delay", "0.01", "--seconds", "0.5"],
    "replay": [],
    "saving": ["--gigabytes", "0.01"],
    "serving": ["--clients", "2", "--rows", "1", "--rates", "100", "--seconds", "0.5"],
    "updates": ["--batch-size", "8", "--updates-per-call", "2"],
    "ways": ["--case", "parameter_server", "1", "8", "--seconds", "0.01"],  # one of its thirty-four
    "whole_run": ["stop.env_steps=21000", "--seeds", "1"],
}
NO_REPORT = {"gpu": "| updates |", "ways": "."}  # what is in the output instead


def test_all_are_here() -> None:
    files = (PROJECT / "benchmarks").glob("*.py")
    assert {file.stem for file in files if "argument_parser(__doc__)" in file.read_text()} == SMALL.keys()


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_it_runs(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", *SMALL[name]]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    if name in NO_REPORT:
        assert NO_REPORT[name] in done.stdout
    else:
        assert json.loads(done.stdout)["results"]
