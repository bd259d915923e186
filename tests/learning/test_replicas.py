"""The number of replicas never changes the algorithm: TensorFlow's devices are fixed at its start, so in a
process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("optimizer", "tau"), [("adam", 1.0), ("rmsprop", 0.3)])
def test_two_replicas_give_the_weights_of_one(optimizer: str, tau: float) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.learning.two_replicas", optimizer, str(tau)],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    difference, _, count, _ = done.stdout.split()
    assert count == "5"
    assert float(difference) < 1e-6
