"""Asynchronous updates per second on CartPole's small network, compared with TF-Agents' own in one run.

TF-Agents' agent has its variables on the parameter server, one `agent.train` a closure, each variable read and updated
by itself, as ParameterServerStrategy's tutorials do. `AsynchronousUpdater` has everything in one vector, several
gradients per read, one fetch per closure. All sample a real Reverb server on the chief.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tensorflow as tf
from tf_agents.agents.dqn import dqn_agent
from tf_agents.utils import common

from benchmarks.measure import argument_parser, report
from benchmarks.random_transitions import CARTPOLE, filled_replay
from tfdqn.agents.dqn import DqnAgent
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.cluster.local_workers import LocalWorkers
from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import MLP, Config, Learner, Replay
from tfdqn.learning.strategies.distribution import parameter_server
from tfdqn.learning.strategies.parameter_server import AsynchronousUpdater
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.in_process import ReverbReplay
from tfdqn.replay.reverb.sampling import ReverbSource
from tfdqn.roles.parameter_server import serve_device

PER_READ = (1, 5, 10, 20)
CLOSURES_PER_WORKER = 2


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    options = parser.parse_args()
    if (cluster := cluster_of_environment()) is not None:
        serve_device(cluster, Learner())
    tf.config.threading.set_inter_op_parallelism_threads(4)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    command = [sys.executable, "-m", "benchmarks.asynchronous"]
    tasks = {"chief": 1, "worker": options.workers, "ps": 1}
    with ExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory()))
        processes = stack.enter_context(closing(LocalWorkers(tasks, command, logs)))
        replay = stack.enter_context(closing(filled_replay(_config(1), CARTPOLE)))
        strategy = parameter_server(processes.cluster)
        plain = _per_second(tf_agents(strategy, replay, options.workers), options.seconds)
        results: dict[str, dict[str, float]] = {"TF-Agents": {"updates/s": plain, "times TF-Agents": 1.0}}
        for per_read in PER_READ:
            work = ours(strategy, replay, processes.cluster, per_read)
            own = _per_second(work, options.seconds)
            results[f"{per_read} per read"] = {"updates/s": own, "times TF-Agents": own / plain}
    report("asynchronous", {"workers": options.workers}, results)


def _config(per_read: int) -> Config:
    return Config(
        network=MLP(),
        replay=Replay(capacity=10_000, min_size=1_000),
        learner=Learner(strategy="parameter_server", updates_per_call=60, updates_per_read=per_read),
    )


def tf_agents(strategy: tf.distribute.ParameterServerStrategy, replay: ReverbReplay, workers: int) -> Callable[[], int]:
    """TF-Agents' train, one update a closure."""
    config = _config(1)
    ours = DqnAgent(config, CARTPOLE)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    with strategy.scope():
        agent = dqn_agent.DdqnAgent(
            ours.time_step_spec,
            ours.action_spec,
            q_network=ours.network.copy(name="shared"),
            optimizer=tf.keras.optimizers.legacy.Adam(config.optimizer.learning_rate),
            td_errors_loss_fn=common.element_wise_squared_loss,
            gamma=1.0,
            target_update_period=50,
        )
        agent.initialize()
    per_worker = coordinator.create_per_worker_dataset(
        lambda: _source(config, replay).dataset(config.learner.batch_size)
    )
    samples = iter(per_worker)

    @tf.function(autograph=False)
    def closure(samples: Any) -> tf.Tensor:
        transition = next(samples).transition
        return strategy.run(agent.train, (transition,)).loss

    under_way: deque = deque()

    def work() -> int:
        while len(under_way) < CLOSURES_PER_WORKER * workers:
            under_way.append(coordinator.schedule(closure, args=(samples,)))
        under_way.popleft().fetch()
        return 1

    return work


def ours(
    strategy: tf.distribute.ParameterServerStrategy, replay: ReverbReplay, cluster: Cluster, per_read: int
) -> Callable[[], int]:
    config = _config(per_read)
    size = per_read * config.learner.batch_size
    updates = AsynchronousUpdater(
        config, CARTPOLE, strategy, lambda: _source(config, replay).dataset(size), len(cluster.addresses("worker"))
    )
    return lambda: len(updates(1_000_000).metrics.loss)


def _source(config: Config, replay: ReverbReplay) -> ReverbSource:
    return ReverbSource(replay.addresses, make_item_kind(config, CARTPOLE), config.priorities)


def _per_second(work: Callable[[], int], seconds: float) -> float:
    for _ in range(5):
        work()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += work()
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the coordinator's threads would complain of servers that have ended
