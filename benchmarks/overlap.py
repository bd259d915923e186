"""Whether workers wait for one another, without the hardware to tell: a worker's compute is replaced by a fixed delay.

Asynchronous workers should give W times one worker's updates, and a slow one should cost only its own; in lockstep, the
slowest sets the pace of all. The delay is on the worker and takes none of this machine's time.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tensorflow as tf
from tensorflow.python.data.experimental.ops import testing

from benchmarks.measure import argument_parser, report
from benchmarks.random_transitions import CARTPOLE, random_sample
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.cluster.local_workers import LocalWorkers
from tfdqn.config import MLP, Config, Learner
from tfdqn.learning.strategies.distribution import parameter_server
from tfdqn.learning.strategies.parameter_server import AsynchronousUpdater
from tfdqn.replay.interfaces import Sample
from tfdqn.roles.parameter_server import serve_device

BATCH, SLOWNESS = 16, 10


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that an update takes on a worker")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--case", nargs=2, metavar=("WORKERS", "SLOW"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if (cluster := cluster_of_environment()) is not None:
        serve_device(cluster, Learner())
    if options.case:
        workers, slow = map(int, options.case)
        print(json.dumps(measured(workers, slow, options.delay, options.seconds)))
        return
    cases = {f"{workers} workers": (workers, 0) for workers in (1, 2, 4)}
    cases["4 workers, one of them 10 times slower"] = (4, 1)
    results = {name: in_a_process(options, *case) for name, case in cases.items()}
    one = results["1 workers"]["updates/s"]
    for result in results.values():
        result["times one worker"] = result["updates/s"] / one
    # Three and a tenth workers' worth; in lockstep, four would go at the slow one's pace.
    results["4 workers, one of them 10 times slower"]["in lockstep it would be"] = 4 / SLOWNESS
    report("overlap", {"delay_seconds": options.delay}, results)


def in_a_process(options: argparse.Namespace, workers: int, slow: int) -> dict[str, float]:
    times = ["--delay", str(options.delay), "--seconds", str(options.seconds)]
    command = [sys.executable, "-m", "benchmarks.overlap", *times, "--case", str(workers), str(slow)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120 + 2 * options.seconds)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measured(workers: int, slow: int, delay: float, seconds: float) -> dict[str, float]:
    """Updates per second and staleness with so many workers, the first of them slow or not."""
    learner = Learner(strategy="parameter_server", batch_size=BATCH, updates_per_call=4, updates_per_read=1, xla="off")
    config = Config(network=MLP(), learner=learner)
    command = [sys.executable, "-m", "benchmarks.overlap"]
    tasks = {"chief": 1, "worker": workers, "ps": 1}
    with TemporaryDirectory() as logs, closing(LocalWorkers(tasks, command, Path(logs))) as processes:
        strategy = parameter_server(processes.cluster)
        updates = AsynchronousUpdater(config, CARTPOLE, strategy, lambda: delayed(delay, slow), workers)
        for _ in range(3):
            updates(1_000_000)
        staleness: list[np.ndarray] = []
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            found = updates(1_000_000).staleness
            assert found is not None
            staleness.append(found)
        elapsed = time.perf_counter() - began
        updates.settle()
        updates.close()
    all_of_it = np.concatenate(staleness)
    return {
        "updates/s": len(all_of_it) / elapsed,
        "staleness, mean": float(all_of_it.mean()),
        "staleness, largest": float(all_of_it.max()),
    }


def delayed(delay: float, slow: int) -> tf.data.Dataset:
    """Batches that take `delay` seconds each to come by, on the first worker ten times as long if it is slow."""
    is_first = tf.strings.regex_full_match(
        tf.io.read_file("/proc/self/environ"), r'(?s).*"type": "worker", "index": 0.*'
    )
    naps = tf.cast(tf.where(is_first & bool(slow), SLOWNESS, 1), tf.int64)
    microseconds = int(delay * 1e6)

    def after_naps(sample: Sample) -> tf.data.Dataset:
        # Not a range of so many: its end is slept for, too.
        sleeps = tf.data.Dataset.range(SLOWNESS).apply(testing.sleep(microseconds))
        return sleeps.batch(naps).take(1).map(lambda _: sample)

    batches = tf.data.Dataset.from_tensors(random_sample(CARTPOLE, BATCH)).repeat()
    return batches.flat_map(after_naps)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the coordinator's threads would complain of servers that have ended
