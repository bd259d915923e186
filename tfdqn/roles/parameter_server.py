"""The parameter server: holds a part of the weights, target weights and optimizer slots, and updates it."""

import tensorflow as tf

from tfdqn.cluster.tf_config import WORKER, Cluster
from tfdqn.config import Learner
from tfdqn.coordination.membership import Membership
from tfdqn.learning.devices import prepare_gpus
from tfdqn.roles.blocking_service import serve
from tfdqn.roles.context import RoleContext

_INTER_OP_THREADS = 4  # so that several workers' calls are served at once


def run(context: RoleContext, membership: Membership) -> bool:
    """Serves until the job is over, and ends the process; False if the user stops it before it joins the learner."""
    cluster = context.topology.sub_cluster(context.config, context.process_id)
    assert cluster is not None

    def service() -> None:
        membership.set_state("serving")
        serve_device(cluster, context.config.learner)

    return serve(context, membership, service)


def serve_device(cluster: Cluster, learner: Learner) -> None:
    """Serves this process's device, on which the chief runs operations, until the process is ended.

    Asynchronous workers do so, as well as parameter servers. Raises ConfigError if a worker has fewer GPUs than
    `learner.min_gpus`.
    """
    if cluster.job == WORKER:
        prepare_gpus(learner)
        import reverb  # noqa: F401  (registers the operations that sample replay, which the chief's closures need)
    settings = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=_INTER_OP_THREADS, intra_op_parallelism_threads=1)
    server = tf.distribute.Server(
        tf.train.ClusterSpec(cluster.jobs),
        job_name=cluster.job,
        task_index=cluster.index,
        protocol="grpc",
        config=settings,
    )
    server.join()  # no timeout: a thread ends the process when the chief has ended or been silent for long
