"""`make_updater`: the updater of `learner.strategy`, with what samples for it.

K is `learner.updates_per_call`, P the number of processes that divide a batch, R that of a process's devices, each with
a replica, and N `learner.updates_per_read`. One call of an updater samples, in each process:

| configuration                | updater                  | samples                                                    |
| ---------------------------- | ------------------------ | ---------------------------------------------------------- |
| local                        | `SynchronousUpdater`     | K batches                                                  |
| mirrored, multi_worker       | `SynchronousUpdater`     | 1/P of K batches, divided among its devices; with          |
|                              |                          | `prefetch_to_device` each device samples its 1/(P R)       |
| averaging                    | `AveragingUpdater`       | 1/P of K batches, divided among its devices                |
| model_parallel > 1           | `ModelParallelUpdater`   | K batches, which the rows of the mesh divide               |
| parameter_server             | `AsynchronousUpdater`    | N batches in each closure, by a dataset on its worker      |
| ensemble.execution processes | `EnsembleProcessUpdater` | K batches of its member's own, for a `SynchronousUpdater`  |
"""

from collections.abc import Sequence
from contextlib import nullcontext

import tensorflow as tf

from tfdqn.agents.factory import make_agent, make_member
from tfdqn.cluster.tf_config import WORKER, Cluster
from tfdqn.config import Config
from tfdqn.learning.devices import replicas
from tfdqn.learning.strategies.averaging import AveragingUpdater
from tfdqn.learning.strategies.distribution import num_processes
from tfdqn.learning.strategies.ensemble_processes import EnsembleProcessUpdater
from tfdqn.learning.strategies.model_parallel import ModelParallelUpdater
from tfdqn.learning.strategies.parameter_server import AsynchronousUpdater
from tfdqn.learning.strategies.synchronous import SynchronousUpdater
from tfdqn.learning.train_step import TrainStep
from tfdqn.learning.updater import Updater
from tfdqn.replay.interfaces import SampleSource
from tfdqn.replay.reverb.sampling import ReverbSource
from tfdqn.task_spec import TaskSpec


def make_updater(
    config: Config,
    task_spec: TaskSpec,
    strategy: tf.distribute.Strategy | None,
    cluster: Cluster | None,
    devices: Sequence[str],
    source: SampleSource,
) -> Updater:
    """Makes this process's updater, by the table above.

    Args:
      strategy: the result of `make_strategy` for the same configuration, cluster and devices.
      cluster: the processes that learn together; None: only this one.
      devices: this process's.
      source: what this process learns from, or asynchronous workers do; a `ReverbSource` for these, and to prefetch.
    """
    settings = config.learner
    whole_batches = config.updates_per_call * settings.batch_size

    if config.ensemble.in_processes:
        assert cluster is not None and strategy is not None
        member = TrainStep(make_member(config, task_spec, cluster.index), config)
        return EnsembleProcessUpdater(
            SynchronousUpdater(member, [source.sampler(whole_batches)], config), cluster.index, strategy
        )
    if settings.strategy == "parameter_server":
        assert cluster is not None and isinstance(source, ReverbSource)
        assert isinstance(strategy, tf.distribute.ParameterServerStrategy)
        size, workers = settings.updates_per_read * settings.batch_size, len(cluster.addresses(WORKER))
        return AsynchronousUpdater(config, task_spec, strategy, lambda: source.dataset(size), workers)
    share = whole_batches // num_processes(strategy)
    if settings.strategy == "averaging":
        process = 0 if cluster is None else cluster.rank
        return AveragingUpdater(config, task_spec, devices, source.sampler(share), strategy, process)
    if settings.model_parallel > 1:
        return ModelParallelUpdater(config, task_spec, replicas(config, devices), source.sampler(share))
    with strategy.scope() if strategy is not None else nullcontext():
        step = TrainStep(make_agent(config, task_spec), config)
    if settings.prefetch_to_device:
        assert isinstance(source, ReverbSource)
        used = devices if strategy is not None else devices[:1]
        samplers = [source.sampler(share // len(used), device) for device in used]
    else:
        samplers = [source.sampler(share)]
    return SynchronousUpdater(step, samplers, config, strategy)
