"""Stands in for `tfdqn` in a search: writes a run's files, with returns that follow from the configuration alone.

Like a true run it saves when it is asked to end, and goes on from there. A file `do-NNN` in the study's folder has it
`fail`, `fill` the disk, `die` once, `die always`, `wait` until it is asked to end, or `wait at N`, the evaluation.
"""

import math
import os
import signal
import sys
import time
from pathlib import Path

from tests.support.run_files import finish
from tfdqn.config import Config
from tfdqn.config.toml import load
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_evaluations
from tfdqn.tuning.trial_records import total_evaluations


def level(config: Config) -> float:
    """What it comes to: best at a learning rate of 0.01 and long returns."""
    return 0.1 * config.agent.n_step - abs(math.log10(config.optimizer.learning_rate) + 2)


def main() -> int:
    config, run = load(sys.argv[2]), RunDir(sys.argv[sys.argv.index("--run-dir") + 1])
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    total = total_evaluations(config)
    first = len(read_evaluations(run.evaluations_file)) + 1
    run.config_file.write_bytes(Path(sys.argv[2]).read_bytes())
    with (run.path / "begun").open("a") as file:
        file.write(f"{first}\n")
    do = run.path.parent.parent / f"do-{run.path.name}"
    word = do.read_text() if do.exists() else ""
    for number in range(first, total + 1):
        if word == "fail":
            print("tfdqn: the pole is broken", file=sys.stderr)
            return 2
        if word == "fill":
            print(f"tfdqn: {run.path}: the disk is full: make room; nothing was saved yet", file=sys.stderr)
            return 2
        steps = number * config.evaluation.interval_env_steps
        mean_return = level(config) + number - total
        append_line(run.metrics_file, {"env_steps": steps, "seconds": 1.5})
        append_line(run.evaluations_file, {"env_steps": steps, "mean_return": mean_return, "is_best": True})
        if word.startswith("die"):
            if word == "die":
                do.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        while word in ("wait", f"wait at {number}") and not asked:
            time.sleep(0.01)
        if asked:
            return 0
        time.sleep(0.05)
    finish(run.path, level(config), env_steps=config.stop.env_steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
