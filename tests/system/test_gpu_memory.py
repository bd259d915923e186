"""TensorFlow takes a GPU's memory as it needs it, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

VARIABLE = "TF_FORCE_GPU_ALLOW_GROWTH"
ASK = f"import sys, os, tfdqn; print(os.environ[{VARIABLE!r}], 'tensorflow' in sys.modules)"


@pytest.mark.parametrize(("user", "expected"), [({}, "true False"), ({VARIABLE: "false"}, "false False")])
def test_the_package_says_so_before_tensorflow_is_imported(user: dict[str, str], expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | user
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
