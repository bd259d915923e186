"""Stands in for `tfdqn`: `python fake_run.py train CONFIG --run-dir DIR` writes a run's files without learning.

What it does is said by `do` among the logs of the run's processes: words that it follows in order. What it was given is
noted beside it, in `told`.
"""

import json
import os
import signal
import sys
import time

from tests.support.run_files import finish
from tfdqn.storage.failures import keep_stop
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.run_directory import RunDir


def main() -> int:
    run = RunDir(sys.argv[sys.argv.index("--run-dir") + 1])
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    names = ("TF_CONFIG", "TF_NUM_INTRAOP_THREADS", "CUDA_VISIBLE_DEVICES")
    told = {"arguments": sys.argv[1:], "pid": os.getpid(), **{name: os.environ.get(name) for name in names}}
    with (run.process_logs / "told").open("a") as file:
        file.write(json.dumps(told) + "\n")
    do = run.process_logs / "do"
    for word in do.read_text().split() if do.exists() else ["begin", "learn", "finish"]:
        match word:
            case "begin":
                run.config_file.write_bytes(run.child_config_file.read_bytes())
            case "learn":
                append_line(run.metrics_file, {"env_steps": 600, "seconds": 1.5, "env_steps_per_second": 400.0})
                append_line(run.evaluations_file, {"env_steps": 500, "mean_return": 9.5, "is_best": True})
            case "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case "child":
                if (child := os.fork()) == 0:
                    time.sleep(300)
                (run.process_logs / "child").write_text(str(child))
            case "fail":
                print("tfdqn: the pole is broken", file=sys.stderr)
                return 2
            case "raise":
                raise ValueError("something broke")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "finish":
                finish(run.path, 9.5)
            case "wait":
                while not asked:
                    time.sleep(0.01)
            case "held-up":
                return 143
            case "saved":
                keep_stop(run, "it was asked to end, and was held up (drawing): ended after saving", is_saved=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
