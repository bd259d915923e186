"""What a process starts ends with it, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.processes import is_running
from tests.support.waiting import until

PARENT = """
import sys, time
from pathlib import Path
from tfdqn.system.subprocesses import start_process
print(*(start_process(["sleep", "100"], Path(sys.argv[1]), {}).pid for _ in range(2)), flush=True)
time.sleep(100)
"""


def test_a_killed_process_leaves_nothing_behind_that_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2 and all(map(is_running, children))
        parent.send_signal(signal.SIGKILL)
    until(lambda: not any(map(is_running, children)))
