"""A parameter server, or an asynchronous worker: it serves its device to the chief, which says what runs there."""

import tensorflow as tf

from tfdqn.cluster.tf_config import WORKER, Cluster
from tfdqn.learning.devices import require_gpus

_THREADS_BETWEEN_OPERATIONS = 4  # several calls are served at once


def run(cluster: Cluster, min_gpus: int = 0) -> None:
    """Serves until the process is ended. Raises ConfigError where a worker has fewer GPUs than that."""
    if cluster.job == WORKER:
        require_gpus(min_gpus)
        import reverb  # noqa: F401  (registers the operations that sample; without them a closure is refused)
    settings = tf.compat.v1.ConfigProto(
        inter_op_parallelism_threads=_THREADS_BETWEEN_OPERATIONS, intra_op_parallelism_threads=1
    )
    server = tf.distribute.Server(
        tf.train.ClusterSpec({job: list(addresses) for job, addresses in cluster.jobs.items()}),
        job_name=cluster.job,
        task_index=cluster.index,
        protocol="grpc",
        config=settings,
    )
    server.join()  # no limit: a thread ends the process when the chief has ended, or is silent beyond patience
