"""Makes the strategy and the updater that `learner.strategy` names."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import tensorflow as tf

# These are not part of the public API.
from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended
from tensorflow.python.eager import context

from tfdqn.agents.factory import make_agent, make_member
from tfdqn.cluster.tf_config import PARAMETER_SERVER, WORKER, Cluster
from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.learning.devices import replicas
from tfdqn.learning.strategies.averaging import AveragingUpdater
from tfdqn.learning.strategies.ensemble_processes import EnsembleProcessUpdater
from tfdqn.learning.strategies.model_parallel import ModelParallelUpdater
from tfdqn.learning.strategies.parameter_server import AsynchronousUpdater
from tfdqn.learning.strategies.synchronous import SynchronousUpdater, num_processes
from tfdqn.learning.train_step import TrainStep
from tfdqn.learning.updater import Updater
from tfdqn.replay.interfaces import Sampler
from tfdqn.task_spec import TaskSpec


class SamplerFactory(Protocol):
    """Makes samplers of this process's replay."""

    def __call__(self, num_transitions: int, device: str | None = None) -> Sampler:
        """Returns a sampler; with a device, each sample is copied there ahead of its call."""


def make_strategy(config: Config, cluster: Cluster | None, devices: Sequence[str]) -> tf.distribute.Strategy | None:
    """Makes the `tf.distribute` strategy of `learner.strategy`, and waits for the cluster's other processes.

    Returns None if none is needed: if one process trains alone, splits its networks over devices, or averages only its
    own replicas.
    """
    name = config.learner.strategy
    if config.ensemble.in_processes:
        assert cluster is not None
        return multi_worker(cluster)
    if config.learner.model_parallel > 1:
        return None
    if name == "mirrored" and len(devices) > 1:  # on one device the result is the same, and faster, without it
        return tf.distribute.MirroredStrategy(list(devices), _cross_device_ops(config))
    if name == "parameter_server":
        assert cluster is not None
        return parameter_server(cluster)
    if name in ("multi_worker", "averaging") and cluster is not None:
        return multi_worker(cluster, config.learner.all_reduce)
    return None


def parameter_server(cluster: Cluster) -> tf.distribute.ParameterServerStrategy:
    """Connects to the parameter servers and workers. Every variable is divided into one shard per server."""
    servers = len(cluster.addresses(PARAMETER_SERVER))
    partitioner = tf.distribute.experimental.partitioners.FixedShardsPartitioner(servers) if servers > 1 else None
    return tf.distribute.ParameterServerStrategy(_resolver(cluster), variable_partitioner=partitioner)


def dismiss(cluster: Cluster) -> None:
    """Ends the processes of a parameter-server strategy with status 0, because the run has finished."""
    for job in (WORKER, PARAMETER_SERVER):
        for index in range(len(cluster.addresses(job))):
            # The call fails, since the process ends before it could answer; or it may be gone already.
            with tf.device(f"/job:{job}/task:{index}/device:CPU:0"), suppress(tf.errors.OpError):
                tf.raw_ops.Abort(exit_without_error=True)


def multi_worker(cluster: Cluster, all_reduce: str = "auto") -> tf.distribute.MultiWorkerMirroredStrategy:
    """Connects to all other workers. To be called before TensorFlow is used otherwise.

    It does not use TensorFlow's coordination service, which waits with the GIL held, so that no thread could say for
    which process, or end this one; and which catches SIGTERM without ending. Nor does it use TensorFlow's thread that
    checks the peers: our own check calls `abort_collectives`.
    """
    context.context().configure_coordination_service(service_type="")
    CollectiveAllReduceExtended._enable_check_health = False
    implementation = tf.distribute.experimental.CommunicationImplementation(all_reduce.upper())
    options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(_resolver(cluster), options)
    except RuntimeError as error:
        if "at program startup" not in str(error):
            raise
        raise ConfigError(
            "this process has used TensorFlow before, so that it can't learn with others: begin a new one; a module of "
            "your own must compute nothing by TensorFlow when it is imported (let NumPy make its constants)"
        ) from error
    _meet(strategy)
    return strategy


def abort_collectives(job: str, index: int) -> None:
    """Makes every present and future wait for the others fail with an UnavailableError, which names the lost one.

    It does nothing before `multi_worker` has begun to use TensorFlow, which nobody else may do first: call it again.
    """
    if not context.context()._initialized:
        return
    lost = f"Task /job:{job}/task:{index} nobody is at its address any more"
    context.context().abort_collective_ops(tf.errors.UNAVAILABLE, lost)


def _meet(strategy: tf.distribute.Strategy) -> None:
    """Waits until every process of the strategy has called this function."""

    def in_replica() -> tf.Tensor:
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.zeros(1))

    tf.function(lambda: strategy.run(in_replica), autograph=False)()


def make_updater(
    config: Config,
    task_spec: TaskSpec,
    strategy: tf.distribute.Strategy | None,
    cluster: Cluster | None,
    devices: Sequence[str],
    sampler: SamplerFactory,
    make_dataset: Callable[[int], tf.data.Dataset] | None = None,
) -> Updater:
    """Makes this process's updater.

    `cluster` are the processes that learn together; None: only this one. `make_dataset` makes a dataset of samples with
    so many transitions, on an asynchronous worker; others need none.
    """
    settings = config.learner

    def train_step(split_over: Sequence[str] = ()) -> TrainStep:
        return TrainStep(make_agent(config, task_spec, split_over), config)

    if config.ensemble.in_processes:
        assert cluster is not None and strategy is not None
        member = TrainStep(make_member(config, task_spec, cluster.index), config)
        updater = SynchronousUpdater(member, [sampler(_share(config, 1))], config)
        return EnsembleProcessUpdater(updater, cluster.index, strategy)
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        assert cluster is not None and make_dataset is not None
        size = settings.updates_per_read * settings.batch_size
        workers = len(cluster.addresses(WORKER))
        return AsynchronousUpdater(config, task_spec, strategy, lambda: make_dataset(size), workers)
    if settings.strategy == "averaging":
        local = sampler(_share(config, num_processes(strategy)))
        return AveragingUpdater(train_step, devices, local, config, strategy)
    if settings.model_parallel > 1:
        whole = sampler(_share(config, 1))
        return ModelParallelUpdater(train_step, replicas(config, devices), whole, config)
    ahead = settings.prefetch_to_device
    if strategy is None:
        whole = sampler(_share(config, 1), devices[0] if ahead else None)
        return SynchronousUpdater(train_step(), [whole], config)
    with strategy.scope():
        mirrored = train_step()
    share = _share(config, num_processes(strategy))
    parts = [sampler(share // len(devices), device) for device in devices] if ahead else [sampler(share)]
    return SynchronousUpdater(mirrored, parts, config, strategy)


def _cross_device_ops(config: Config) -> tf.distribute.CrossDeviceOps | None:
    """Makes what sums the gradients of a host's replicas; None: TensorFlow's default."""
    name = config.learner.all_reduce
    makers: dict[str, Callable[[], tf.distribute.CrossDeviceOps]] = {
        "nccl": tf.distribute.NcclAllReduce,
        "hierarchical_copy": tf.distribute.HierarchicalCopyAllReduce,
        "one_device": tf.distribute.ReductionToOneDevice,
    }
    return makers[name]() if name in makers else None


def _share(config: Config, processes: int) -> int:
    """The number of transitions that one process samples for one call."""
    return config.updates_per_call * config.learner.batch_size // processes


def _resolver(cluster: Cluster) -> tf.distribute.cluster_resolver.ClusterResolver:
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster.jobs), task_type=cluster.job, task_id=cluster.index, rpc_layer="grpc"
    )
