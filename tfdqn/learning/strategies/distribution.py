"""Makes the `tf.distribute` strategy of `learner.strategy`, which connects processes.

Also ends these, tells the strategy of those that are lost, counts them, and gathers their values.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import tensorflow as tf

# These are not part of the public API.
from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended
from tensorflow.python.eager import context

from tfdqn.cluster.tf_config import PARAMETER_SERVER, WORKER, Cluster
from tfdqn.config import Config, Learner
from tfdqn.errors import ConfigError


def make_strategy(config: Config, cluster: Cluster | None, devices: Sequence[str]) -> tf.distribute.Strategy | None:
    """Makes the `tf.distribute` strategy of `learner.strategy`, and waits for the cluster's other processes.

    Returns None if none is needed: if one process trains alone, splits its networks over devices, or averages only its
    own replicas. `devices` are those of this process.
    """
    learner = config.learner
    if cluster is None:
        # On one device the result is the same, and faster, without it. It would lose the placement of split networks.
        is_mirrored = learner.strategy == "mirrored" and len(devices) > 1 and learner.model_parallel == 1
        return tf.distribute.MirroredStrategy(list(devices), _cross_device_ops(learner)) if is_mirrored else None
    if learner.strategy == "parameter_server":
        return parameter_server(cluster)
    return multi_worker(cluster, learner.all_reduce)


def parameter_server(cluster: Cluster) -> tf.distribute.ParameterServerStrategy:
    """Connects to the parameter servers and workers. Every variable is divided into one shard per server."""
    _check_that_it_can_connect(again_to=PARAMETER_SERVER)
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
    _check_that_it_can_connect()
    context.context().configure_coordination_service(service_type="")
    CollectiveAllReduceExtended._enable_check_health = False
    implementation = tf.distribute.experimental.CommunicationImplementation(all_reduce.upper())
    options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(_resolver(cluster), options)
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


def num_processes(strategy: tf.distribute.Strategy | None) -> int:
    """The number of processes among which a strategy divides a batch."""
    return 1 if strategy is None else strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)


def gathered(strategy: tf.distribute.Strategy, values: tf.Tensor) -> tf.Tensor:
    """Gathers a tensor from each process, stacked along a new axis, repeated for each replica of a process."""

    def in_replica() -> tf.Tensor:
        return tf.distribute.get_replica_context().all_gather(tf.identity(values)[tf.newaxis], axis=0)

    return strategy.experimental_local_results(strategy.run(in_replica))[0]


def least_of_processes(strategy: tf.distribute.Strategy | None, values: tf.Tensor) -> tf.Tensor:
    """Returns the minima over all processes of float32[K] in each."""
    return values if num_processes(strategy) == 1 else tf.reduce_min(gathered(strategy, values), axis=0)


def _check_that_it_can_connect(again_to: str | None = None) -> None:
    """Raises if TensorFlow has computed in this process before; with `again_to`, unless connected to such a job."""
    if not context.context()._initialized:
        return
    before = context.context().get_server_def()
    if before is None or again_to not in {job.name for job in before.cluster.job}:
        raise ConfigError(
            "TensorFlow has computed in this process before, and so can't connect to others: train in a new process; "
            "a module of your own must not compute by TensorFlow when it is imported (let NumPy make its constants)"
        )


def _meet(strategy: tf.distribute.Strategy) -> None:
    """Waits until every process of the strategy has called this function."""

    def in_replica() -> tf.Tensor:
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.zeros(1))

    tf.function(lambda: strategy.run(in_replica), autograph=False)()


def _cross_device_ops(learner: Learner) -> tf.distribute.CrossDeviceOps | None:
    """Makes what sums the gradients of a host's replicas; None: TensorFlow's default."""
    makers: dict[str, Callable[[], tf.distribute.CrossDeviceOps]] = {
        "nccl": tf.distribute.NcclAllReduce,
        "hierarchical_copy": tf.distribute.HierarchicalCopyAllReduce,
        "one_device": tf.distribute.ReductionToOneDevice,
    }
    return makers[learner.all_reduce]() if learner.all_reduce in makers else None


def _resolver(cluster: Cluster) -> tf.distribute.cluster_resolver.ClusterResolver:
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster.jobs), task_type=cluster.job, task_id=cluster.index, rpc_layer="grpc"
    )
