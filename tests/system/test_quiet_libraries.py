"""Warnings about the code of others are not shown, and all others are."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from tfdqn.system.quiet_libraries import ignore_warnings_of_libraries
ignore_warnings_of_libraries()
for file in sys.argv[1:]:
    compile(open(file).read(), file, "exec")
"""


def test_python_warns_of_the_syntax_of_own_tasks_but_not_of_tf_agents(tmp_path: Path) -> None:
    files = [tmp_path / "tf_agents" / "utils" / "common.py", tmp_path / "my_task.py"]
    files[0].parent.mkdir(parents=True)
    for file in files:
        file.write_text("1 is 1\n")
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM, *files], stderr=subprocess.PIPE, text=True, check=True
    ).stderr
    assert "SyntaxWarning" in shown and str(files[1]) in shown
    assert "tf_agents" not in shown
