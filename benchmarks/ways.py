"""Updates per second of each way to divide the work, on 1, 2 and 4 devices or processes, and what of it is exchange.

Every case runs in processes of its own. A second measurement has a batch of one example for each of them: what
is left of an update's time is the exchange between them and the fixed costs of an update.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import tensorflow as tf

from benchmarks.measure import argument_parser, rate, report
from benchmarks.random_transitions import CARTPOLE, random_sample
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.cluster.local_workers import LocalWorkers
from tfdqn.cluster.tf_config import Cluster, tensorflow_jobs
from tfdqn.config import DQN, MLP, Config, Learner
from tfdqn.learning.devices import learning_devices
from tfdqn.learning.strategies.distribution import make_strategy
from tfdqn.learning.strategies.factory import make_updater
from tfdqn.learning.strategies.lockstep import Broadcast, LockstepUpdater, follow
from tfdqn.learning.updater import Updater
from tfdqn.replay.interfaces import Sampler
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.sampling import ReverbSource
from tfdqn.roles.parameter_server import serve_device

NETWORKS: dict[str, tuple[tuple[int, ...], int]] = {"120-84": ((120, 84), 128), "1024-1024": ((1024, 1024), 256)}
FLOAT_BYTES = 4
UPDATES_PER_CALL, UPDATES_PER_READ, PERIOD = 20, 5, 10
# Way → (how many devices or processes it is measured at, learner keys by their number).
WAYS: dict[str, tuple[tuple[int, ...], Callable[[int], dict[str, object]]]] = {
    "local": ((1,), lambda count: {}),
    "mirrored": ((2, 4), lambda count: {"strategy": "mirrored", "logical_devices": count}),
    "multi_worker": ((2, 4), lambda count: {"strategy": "multi_worker", "workers": count}),
    "parameter_server": ((1, 2, 4), lambda count: {"strategy": "parameter_server", "workers": count}),
    "parameter_server, 2 servers": (
        (2,),
        lambda count: {"strategy": "parameter_server", "workers": count, "parameter_servers": 2},
    ),
    "averaging, devices": ((2, 4), lambda count: {"strategy": "averaging", "workers": 1, "logical_devices": count}),
    "averaging, processes": ((2, 4), lambda count: {"strategy": "averaging", "workers": count}),
    "model parallel": ((2, 4), lambda count: {"model_parallel": count, "logical_devices": count}),
}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--network", choices=NETWORKS, default="120-84")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each of three rounds")
    parser.add_argument("--case", nargs=3, metavar=("WAY", "COUNT", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(options, *options.case)))
        return
    hidden_units, batch = NETWORKS[options.network]
    results = {}
    for way, (counts, _) in WAYS.items():
        for count in counts:
            whole, bare = (in_processes(options, way, count, size) for size in (batch, count))
            results[f"{way}: {count}"] = {
                "updates/s": whole,
                "ms per update": 1e3 / whole,
                "ms per update, one example each": 1e3 / bare,
                "bytes that each sends per update": sent_bytes(way, count, hidden_units, batch),
            }
            print(f"{way}: {count}: {whole:.0f} updates/s", file=sys.stderr)
    report("ways", {"network": options.network, "batch": batch}, results)


def in_processes(options: argparse.Namespace, way: str, count: int, batch: int) -> float:
    """Updates per second of one case."""
    arguments = ["--network", options.network, "--seconds", str(options.seconds)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ways", *arguments, "--case", way, str(count), str(batch)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"{way}: {count}: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def sent_bytes(way: str, count: int, hidden_units: tuple[int, ...], batch: int) -> float:
    """What each device or process sends for one update, on average, and as much as it receives; P float32 weights.

    A ring's all-reduce among U sends 2 (U - 1) / U of a vector. Averaging sends weights, target and two moments once a
    period. A worker reads weights and target once for several gradients that it pushes.
    """
    widths = [4, *hidden_units, 2]
    weights = sum((a + 1) * b for a, b in pairwise(widths)) * FLOAT_BYTES
    ring = 2 * (count - 1) / count
    if way == "model parallel":
        return activation_bytes(batch, hidden_units[-1], count) / count
    if way.startswith("parameter_server"):
        return weights * (1 + 2 / UPDATES_PER_READ)
    return ring * weights * (4 / PERIOD if way.startswith("averaging") else 1)


def activation_bytes(batch: int, width: int, devices: int) -> float:
    """Sent, by all devices that share a network of one pair of layers: observations out, sums back, gradients out.

    The two passes of DQN are Q(s, ·) and the target network's Q(s', ·); only the first has gradients.
    """
    (observation,) = CARTPOLE.observation["observation"].shape
    return FLOAT_BYTES * batch * (devices - 1) * (2 * (observation + width) + width)


def measured(options: argparse.Namespace, way: str, count: str, batch: str) -> float:
    """In a case's own process: the chief's, or one that it has started."""
    learner = WAYS[way][1](int(count))
    config = Config(
        network=MLP(hidden_units=NETWORKS[options.network][0]),
        agent=DQN(),
        learner=Learner(
            **learner,  # type: ignore[arg-type]
            batch_size=int(batch),
            updates_per_call=UPDATES_PER_CALL,
            updates_per_read=UPDATES_PER_READ,
            averaging_period_train_steps=PERIOD,
        ),
    )
    cluster = cluster_of_environment()
    if cluster is not None and config.learner.strategy == "parameter_server" and not cluster.is_chief:
        serve_device(cluster, Learner())
    alone = config.learner.strategy == "local" and config.learner.model_parallel == 1
    tf.config.threading.set_inter_op_parallelism_threads(1 if alone else 4)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    devices = learning_devices(config)
    with ExitStack() as stack:
        if cluster is None and "workers" in learner and config.learner.workers > 1 - ("server" in way):
            cluster = stack.enter_context(started(config))
        updates = made(config, cluster, devices)
        if updates is None:
            return 0.0  # a follower, whose chief has said stop
        stack.callback(updates.close)
        done = rate(lambda: updates(1_000_000), UPDATES_PER_CALL, seconds=options.seconds, rounds=3)
    return done.per_second


@contextmanager
def started(config: Config) -> Iterator[Cluster]:
    """The case's other processes: this same command, with another `TF_CONFIG`."""
    command = [sys.executable, "-m", "benchmarks.ways", *sys.argv[1:]]
    with TemporaryDirectory() as logs, closing(LocalWorkers(tensorflow_jobs(config), command, Path(logs))) as processes:
        yield processes.cluster


def made(config: Config, cluster: Cluster | None, devices: list[str]) -> Updater | None:
    """The chief's updates; None in a follower, when the chief has done."""
    strategy = make_strategy(config, cluster, devices)
    source = _SameSample([], make_item_kind(config, CARTPOLE), config.priorities)
    updates = make_updater(config, CARTPOLE, strategy, cluster, devices, source)
    if cluster is None or config.learner.strategy == "parameter_server":
        return updates
    assert strategy is not None
    broadcast = Broadcast(strategy)
    if cluster.is_chief:
        return LockstepUpdater(updates, broadcast)
    follow(updates, broadcast)
    return None


def sampler(num_examples: int) -> Sampler:
    """The same random transitions each time: sampling costs what it costs elsewhere."""
    sample = random_sample(CARTPOLE, num_examples)
    return lambda: sample


class _SameSample(ReverbSource):
    """Gives what `sampler` does."""

    def sampler(self, num_examples: int, device: str | None = None) -> Sampler:
        return sampler(num_examples)

    def dataset(self, num_examples: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(random_sample(CARTPOLE, num_examples)).repeat()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the coordinator's threads would complain of servers that have ended
