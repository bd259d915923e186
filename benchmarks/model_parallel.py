"""A wide network split over 1, 2 and 4 devices, and on a mesh: updates per second, and what each device holds.

The devices are parts of one CPU with one thread each, so that more of them than cores can't be faster; what crosses
between them is handed over in memory, for which the bytes stand that a network would carry.
"""

import argparse
import json
import subprocess
import sys

import tensorflow as tf

from benchmarks.measure import argument_parser, rate, report
from benchmarks.random_transitions import CARTPOLE
from benchmarks.ways import FLOAT_BYTES, activation_bytes, sampler
from tfdqn.config import MLP, Config, Learner
from tfdqn.learning.devices import learning_devices
from tfdqn.learning.strategies.model_parallel import ModelParallelUpdater

MESHES = ((1, 1), (1, 2), (1, 4), (2, 2))  # rows (data) and columns (model)
UPDATES_PER_CALL = 4


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--width", type=int, default=4096, help="of both hidden layers")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of three rounds")
    parser.add_argument("--case", nargs=2, type=int, metavar=("ROWS", "COLUMNS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(options, *options.case)))
        return
    results = {}
    for rows, columns in MESHES:
        numbers = in_a_process(options, rows, columns)
        results[f"{rows} x {columns}"] = numbers
        print(f"{rows} x {columns}: {numbers['updates/s']:.3g} updates/s", file=sys.stderr)
    settings = {"hidden_units": [options.width] * 2, "batch_size": options.batch_size, "optimizer": "adam"}
    report("model_parallel", settings, results)


def in_a_process(options: argparse.Namespace, rows: int, columns: int) -> dict[str, float]:
    """One mesh in a process of its own: TensorFlow's devices are fixed at its start."""
    settings = [f"--width={options.width}", f"--batch-size={options.batch_size}", f"--seconds={options.seconds}"]
    command = [sys.executable, "-m", "benchmarks.model_parallel", *settings, "--case", str(rows), str(columns)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"{rows} x {columns}: {done.stderr[-2000:]}")
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def measured(options: argparse.Namespace, rows: int, columns: int) -> dict[str, float]:
    config = Config(
        network=MLP(hidden_units=(options.width, options.width)),
        learner=Learner(
            strategy="mirrored",
            logical_devices=rows * columns,
            model_parallel=columns,
            batch_size=options.batch_size,
            updates_per_call=UPDATES_PER_CALL,
        ),
    )
    tf.config.threading.set_inter_op_parallelism_threads(4)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    devices = learning_devices(config)
    updates = ModelParallelUpdater(
        config,
        CARTPOLE,
        [devices[i : i + columns] for i in range(0, len(devices), columns)],
        sampler(UPDATES_PER_CALL * options.batch_size),
    )
    held = updates.bytes_by_device().values()
    activations = activation_bytes(options.batch_size // rows, options.width, columns)
    speed = rate(updates, UPDATES_PER_CALL, seconds=options.seconds, rounds=3)
    return {
        "updates/s": speed.per_second,
        "updates per CPU second": speed.per_cpu_second,
        "most MB on one device": max(held) / 1e6,
        "least MB on one device": min(held) / 1e6,
        "MB of activations crossing a row per update": activations / 1e6,
        "MB of gradients crossing a column per update": gradient_bytes(options, rows, columns) / 1e6,
    }


def gradient_bytes(options: argparse.Namespace, rows: int, columns: int) -> float:
    """Between the devices of one column: a piece's gradient from every other row, and the sum back."""
    weights = options.width * options.width  # of the layer that outweighs the others
    return 2 * (rows - 1) * FLOAT_BYTES * weights / columns


if __name__ == "__main__":
    main()
