"""The order of what is called at an interpreter's exit."""

import subprocess
import sys

PROGRAM = """
from tfdqn.system.exits import call_last
import atexit
call_last(lambda: print("first given"))
atexit.register(print, "a handler")
call_last(lambda: print("last given"))
atexit.register(print, "a later handler")
"""


def test_they_are_called_after_later_handlers() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines() == ["a later handler", "a handler", "last given", "first given"]
