"""A process that ends at once tells why before, and ends also if nobody can be told."""

import subprocess
import sys

from tfdqn.errors import RESTART_STATUS

PROGRAM = """
import threading
from tfdqn.coordination import sudden_end
from tfdqn.coordination.sudden_end import end_now, told_of_sudden_end
sudden_end._TELL_SECONDS = {seconds}
with told_of_sudden_end(lambda line, status: print("no more")):
    pass
with told_of_sudden_end(lambda line, status: print(line, status, flush=True)):
    with told_of_sudden_end(lambda line, status: threading.Event().wait({waits})):
        end_now("it is stuck")
"""


def ended(seconds: float, waits: float) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(seconds=seconds, waits=waits)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=False)


def test_those_who_asked_are_told_the_line_and_the_status() -> None:
    done = ended(seconds=240, waits=0)
    assert (done.returncode, done.stdout) == (RESTART_STATUS, f"it is stuck {RESTART_STATUS}\n")
    assert done.stderr == "tfdqn: it is stuck\n"


def test_it_ends_also_if_one_of_them_hangs() -> None:
    assert ended(seconds=0.1, waits=240).returncode == RESTART_STATUS
