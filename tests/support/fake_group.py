"""Stands in for `tfdqn.tuning.thread_runs`: `python fake_group.py MOST LOG RUN...` writes runs' files without learning.

What happens to each run is said by a word, `do`, among the logs of its processes. What was given is noted in `told`
beside the first.
"""

import json
import os
import signal
import sys
import time

import msgspec

from tests.support.run_files import finish
from tfdqn.errors import RESTART_STATUS
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd


def main() -> int:
    runs = [RunDir(path) for path in sys.argv[3:]]
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    told = {"arguments": sys.argv[1:], "pid": os.getpid(), "threads": os.environ.get("TF_NUM_INTRAOP_THREADS")}
    (runs[0].process_logs / "told").write_text(json.dumps(told))
    for run in runs:
        word = (run.process_logs / "do").read_text()
        if word == "not begun":
            continue
        run.child_log.write_text("CartPole-v1\n")
        match word:
            case "finish":
                run.config_file.write_bytes(run.child_config_file.read_bytes())
                finish(run.path, 9.5)
                _end(run, RunEnd(Outcome.FINISHED, True, ""))
            case "fail":
                _end(run, RunEnd(Outcome.FAILED, False, "the pole is broken"))
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stall":
                _end(run, RunEnd(Outcome.STOPPED, False, "seed-3 is stuck"))
                os._exit(RESTART_STATUS)
            case "wait":
                while not asked:
                    time.sleep(0.01)
                _end(run, RunEnd(Outcome.STOPPED, True, ""))
            case "wait, then die":
                while not asked:
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _end(run: RunDir, end: RunEnd) -> None:
    partial = run.process_logs / "partial"
    partial.write_bytes(msgspec.json.encode(end))
    partial.rename(run.end_file)


if __name__ == "__main__":
    sys.exit(main())
