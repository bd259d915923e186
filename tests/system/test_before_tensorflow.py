"""What holds for TensorFlow and its libraries before they are imported, unless the user says otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

VARIABLE = "TF_FORCE_GPU_ALLOW_GROWTH"
ASK = f"import sys, os, tfdqn; print(os.environ[{VARIABLE!r}], 'tensorflow' in sys.modules)"
COMPILE = """
import sys
from tfdqn.system.before_tensorflow import ignore_warnings_of_libraries
ignore_warnings_of_libraries()
for file in sys.argv[1:]:
    compile(open(file).read(), file, "exec")
"""


@pytest.mark.parametrize(("user", "expected"), [({}, "true False"), ({VARIABLE: "false"}, "false False")])
def test_a_gpus_memory_is_taken_as_needed_unless_the_user_says_otherwise(user: dict[str, str], expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | user
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_python_warns_of_the_syntax_of_own_tasks_but_not_of_tf_agents(tmp_path: Path) -> None:
    files = [tmp_path / "tf_agents" / "utils" / "common.py", tmp_path / "my_task.py"]
    files[0].parent.mkdir(parents=True)
    for file in files:
        file.write_text("1 is 1\n")
    shown = subprocess.run(
        [sys.executable, "-c", COMPILE, *files], stderr=subprocess.PIPE, text=True, check=True
    ).stderr
    assert "SyntaxWarning" in shown and str(files[1]) in shown
    assert "tf_agents" not in shown
