"""`tfdqn tasks`: the list ends, whatever a registered environment does."""

import re
import subprocess
import sys

from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.errors import RESTART_STATUS


def test_an_environment_that_is_never_made_ends_the_list_with_one_line() -> None:
    script = """
import gymnasium
from tfdqn.cli import main, tasks
from tfdqn.config import Health

tasks.Health = lambda: Health(stuck_after_seconds=1)
gymnasium.register("Hangs-v0", "tests.support.odd_environments:NeverMade", kwargs={"hangs": "always"})
main.main(["tasks", "Cart"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == RESTART_STATUS and done.stdout == ""
    assert re.fullmatch(
        r"tfdqn: the list has made no progress for \d+ s \(making an environment of each task.*\): ended",
        done.stderr.splitlines()[-1],
    ), done.stderr
