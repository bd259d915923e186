"""`AsynchronousUpdater`: workers read the shared weights, sample, and push gradients without waiting for each other.

A worker's unit of work (a closure, in `tf.distribute`'s terms) reads everything once, computes gradients of N batches,
and pushes them together. Each gradient is one update. The price is staleness: the number of updates that were applied,
by others or of the same N, after the weights were read and before the gradient was applied.
"""

import sys
from collections.abc import Callable, Mapping
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.eager.executor import Executor  # not part of the public API

from tfdqn.agents.factory import make_agent
from tfdqn.config import Config
from tfdqn.learning.devices import uses_xla
from tfdqn.learning.flat_vector import FlatLayout, flat_tensor
from tfdqn.learning.importance import weighted
from tfdqn.learning.many_updates import keys_of, split_batches
from tfdqn.learning.strategies.server_statistics import ServerStatistics
from tfdqn.learning.strategies.sharded_variables import ShardedVariables
from tfdqn.learning.train_step import TrainStep, UpdateMetrics
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.interfaces import Sample
from tfdqn.task_spec import TaskSpec

_CLOSURES_PER_WORKER = 2  # one under way and one queued, so that no worker has to wait


class AsynchronousUpdater(Updater):
    """Makes updates by ParameterServerStrategy.

    Args:
      config: `learner.updates_per_read` is N.
      strategy: its cluster computes the updates; its partitioner divides each vector.
      make_dataset: called on every worker; elements are samples with leading axis N × batch.
    """

    def __init__(
        self,
        config: Config,
        task_spec: TaskSpec,
        strategy: tf.distribute.ParameterServerStrategy,
        make_dataset: Callable[[], tf.data.Dataset],
        workers: int,
    ):
        self._updates_per_call = config.learner.updates_per_call
        self._updates_per_read = config.learner.updates_per_read
        self._batch_size = config.learner.batch_size
        self._priorities = config.priorities
        # Provides the loss and the weights' names; its variables only provide the initial values.
        self._pattern = TrainStep(make_agent(config, task_spec), config)
        self._row_size = self._pattern.row_size(self._batch_size)
        network = self._pattern.agent.network
        self._layout = FlatLayout(network.learned_weights())
        quiet_executors()
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        with strategy.scope():
            self._parameters = ShardedVariables(self._layout, config)
        if network.statistics:
            self._parameters.statistics = ServerStatistics(network, config, self._parameters.first_device)
        self._parameters.load_state(self._pattern.state())
        self._samples = iter(self._coordinator.create_per_worker_dataset(make_dataset))
        self._gradients = tf.function(self._take_gradients, jit_compile=uses_xla(config), autograph=False)
        self._closure = tf.function(self._read_and_update, autograph=False)
        self._most_under_way = _CLOSURES_PER_WORKER * workers
        self._under_way = 0
        self._begun: SimpleQueue[bool] = SimpleQueue()  # True: run a closure; False: end the thread
        self._ended: SimpleQueue[np.ndarray | BaseException | None] = SimpleQueue()
        for _ in range(self._most_under_way):
            Thread(target=self._run_closures, name="closures", daemon=True).start()

    def __call__(self, owed: int | None = None) -> UpdateResult:
        """Keeps all workers busy until enough closures for `learner.updates_per_call` updates have ended.

        It begins no more closures than make `owed` updates.
        """
        owed = self._updates_per_call if owed is None else owed
        closures_owed = owed // self._updates_per_read
        wanted = -(-self._updates_per_call // self._updates_per_read)
        ended: list[np.ndarray | None] = []
        while len(ended) < wanted:
            begun = self._under_way + len(ended)
            for _ in range(min(self._most_under_way - self._under_way, closures_owed - begun)):
                self._begin()
            if not self._under_way:
                break
            ended.append(self._wait())
        result = self._updated(ended)
        if result.dropped and not result.metrics.loss.size:
            # Perhaps they only seem stale, since a worker was lost during its push.
            ended += self._settled()
            result = self._updated(ended)
        return result

    def trace(self) -> None:
        self._closure.get_concrete_function(self._samples._type_spec)  # as the coordinator traces it

    def settle(self) -> UpdateResult | None:
        """Waits for the closures that are under way."""
        ended = self._settled()
        return self._updated(ended) if ended else None

    def state(self) -> dict[str, np.ndarray]:
        return self._parameters.state()

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._parameters.load_state(arrays)

    def close(self) -> None:
        """Does not wait for closures that are under way, since the chief ends the cluster's processes."""
        for _ in range(self._most_under_way):
            self._begun.put(False)

    def _begin(self) -> None:
        """Makes one of the threads schedule a closure and wait for it, so that results arrive in the order they finish.

        So a slow worker delays no other; and because the threads are daemons, a lost worker doesn't keep the process
        from ending. TensorFlow keeps some memory for every thread that calls it, so there is one thread for each
        closure that may be under way, rather than a new one each time.
        """
        self._under_way += 1
        self._begun.put(True)

    def _run_closures(self) -> None:
        while self._begun.get():  # no timeout: `close` ends it
            try:
                scheduled = self._coordinator.schedule(self._closure, args=(self._samples,))
                self._ended.put(fetch_result(self._coordinator, scheduled))
            except BaseException as error:
                self._ended.put(error)

    def _wait(self) -> np.ndarray | None:
        """Waits for the next closure that ends; returns as `fetch_result`. Raises the error of a failed one."""
        ended = self._ended.get()  # no timeout: a watchdog ends the process if no worker answers
        self._under_way -= 1
        if isinstance(ended, BaseException):
            raise ended
        return ended

    def _settled(self) -> list[np.ndarray | None]:
        """What the closures that were under way return. None is, afterwards."""
        ended: list[np.ndarray | None] = []
        while self._under_way:
            ended.append(self._wait())
        self._parameters.settle()
        return ended

    def _updated(self, ended: list[np.ndarray | None]) -> UpdateResult:
        """Makes the update result from what the closures returned; None: it was lost with its worker."""
        gradients = PushedGradients.unpacked([each for each in ended if each is not None], self._row_size)
        # Priorities are updated for dropped gradients, too: their TD errors are just as informative.
        result = UpdateResult.of_rows(
            gradients.rows, self._pattern.num_metrics, self._parameters.weights(), gradients.keys
        )
        is_applied = gradients.is_applied
        return result._replace(
            metrics=UpdateMetrics.of_columns([values[is_applied] for values in result.metrics.columns()]),
            staleness=gradients.staleness[is_applied],
            dropped=int(np.sum(~is_applied)),
        )

    def _read_and_update(self, samples: Any) -> tf.Tensor:
        """A closure: makes N updates; returns `PushedGradients.packed`."""
        batches = split_batches(next(samples), self._updates_per_read, self._batch_size)
        fetched = [each for each in tf.nest.flatten(batches) if each is not None]
        with tf.control_dependencies(fetched):  # else the weights would age while the worker waits for samples
            read = self._parameters.read()
        (weighed,) = weighted([batches], self._priorities, read.version)
        gradients, rows = self._gradients(read.weights, read.target_weights, read.version, weighed, read.statistics)
        place = self._parameters.apply(gradients, read.version, self._moments(batches))
        order = tf.range(self._updates_per_read, dtype=tf.int64)
        return PushedGradients(rows, place.staleness + order, order < place.accepted, keys_of([batches])).packed()

    def _moments(self, batches: Sample) -> tf.Tensor | None:
        """The moments float32[N, S] of batches, if the network has statistics of its observations."""
        statistics, moments = self._parameters.statistics, self._pattern.agent.moments
        if statistics is None:
            return None
        each = (batches.at(i) for i in range(self._updates_per_read))
        return tf.stack([statistics.flat(moments(batch.transition)) for batch in each])

    def _take_gradients(
        self,
        weights: tf.Tensor,
        target_weights: tf.Tensor,
        version: tf.Tensor,
        batches: Sample,
        statistics: tf.Tensor | None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes N gradients at weights float32[P]; returns them clipped, float32[N, P], and rows float32[N, …]."""
        count = self._updates_per_read
        gradients = tf.TensorArray(tf.float32, count, element_shape=[self._layout.size])
        rows = tf.TensorArray(tf.float32, count, element_shape=[self._row_size])

        def one(i: tf.Tensor, gradients: tf.TensorArray, rows: tf.TensorArray) -> tuple:
            step = version + tf.cast(i, version.dtype)
            gradient, row = self._gradient(weights, target_weights, statistics, step, batches.at(i))
            return i + 1, gradients.write(i, gradient), rows.write(i, row)

        _, gradients, rows = tf.while_loop(lambda i, *_: i < count, one, [0, gradients, rows], maximum_iterations=count)
        return gradients.stack(), rows.stack()

    def _gradient(
        self,
        weights: tf.Tensor,
        target_weights: tf.Tensor,
        statistics: tf.Tensor | None,
        step: tf.Tensor,
        batch: Sample,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        agent, learned = self._pattern.agent, self._layout.named_tensors(weights)
        online, target = learned, self._layout.named_tensors(target_weights)
        if self._parameters.statistics is not None:
            counted = self._parameters.statistics.named_tensors(statistics)
            online, target = online | counted, target | counted
        with agent.network.with_weights(online), agent.target_network.with_weights(target):
            gradients, loss_info = self._pattern.gradients(batch, weights=list(learned.values()), step=step)
        gradients, norm = self._pattern.clipped(gradients)
        return flat_tensor(gradients), self._pattern.output(loss_info, norm).row()


class PushedGradients(NamedTuple):
    """What is known of N gradients that workers pushed: tensors, or NumPy arrays if `unpacked`."""

    rows: np.ndarray | tf.Tensor  # float32[N, …], as of `UpdateOutput.row`
    staleness: np.ndarray | tf.Tensor  # int64[N]
    is_applied: np.ndarray | tf.Tensor  # bool[N]; False: dropped for being too stale
    keys: np.ndarray | tf.Tensor | None  # int64[N, B, …] of the examples; None: sampling is uniform

    def packed(self) -> tf.Tensor:
        """One tensor float64[N, …], since each that is fetched costs a call. It has the keys as bits."""
        figures = tf.stack([self.staleness, tf.cast(self.is_applied, tf.int64)], axis=1)
        columns = [tf.cast(self.rows, tf.float64), tf.cast(figures, tf.float64)]
        if self.keys is not None:
            columns.append(tf.bitcast(tf.reshape(self.keys, [self.keys.shape[0], -1]), tf.float64))
        return tf.concat(columns, axis=1)

    @classmethod
    def unpacked(cls, packed: list[np.ndarray], row_size: int) -> "PushedGradients":
        """The inverse of `packed`, of any number of closures. Its keys are int64[N, …]."""
        every = np.concatenate(packed or [np.zeros((0, row_size + 2))])
        rows, staleness, is_applied, bits = np.split(every, [row_size, row_size + 1, row_size + 2], axis=1)
        keys = np.ascontiguousarray(bits).view(np.int64) if bits.size else None
        return cls(rows.astype(np.float32), staleness[:, 0].astype(np.int64), is_applied[:, 0] == 1, keys)


def fetch_result(
    coordinator: tf.distribute.coordinator.ClusterCoordinator,
    scheduled: tf.distribute.experimental.coordinator.RemoteValue,
) -> np.ndarray | None:
    """Waits for a closure, and returns its result; raises its error if it failed.

    If a worker is lost, the coordinator gives its unfinished closure to another one. The result of a closure that had
    finished may be lost with its worker: this then returns None. Its updates were applied, and are counted at the next
    checkpoint.
    """
    try:
        return coordinator.fetch(scheduled)
    except tf.errors.OpError:
        if scheduled._get_error() is not None:  # the closure's own; only the coordinator tells the two apart
            raise
        return None


@cache
def quiet_executors() -> None:
    """From now on, no traceback is printed when an executor of a lost process is deleted.

    Its destructor waits for its operations, and Python can only print what a destructor raises. The loss itself is
    raised by the coordinator.
    """
    shown = sys.unraisablehook

    def show(unraisable: "sys.UnraisableHookArgs") -> None:
        is_executors = unraisable.object == Executor.__del__ and isinstance(unraisable.exc_value, tf.errors.OpError)
        if not is_executors:
            shown(unraisable)

    sys.unraisablehook = show
