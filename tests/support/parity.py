"""Run by `tests.support.parity_server`: a strategy against plain local training on the same global batches.

Twenty updates with clipping on, unequal importance weights and target updates on the way. Each way gives
the largest difference of any weight, target weight, slot, or error by which an example gets its priority.
`PARITY_AGENT` and `PARITY_NETWORK` are the settings of the agent, by default Double DQN, and of the network, as JSON;
`PARITY_ACTIONS` is the number of actions, or a list of one for each branch.
"""

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace

import msgspec
import numpy as np
import tensorflow as tf

from tests.support.batches import case_spec, random_small_weights, random_transitions, random_weights
from tests.support.logical_devices import logical_devices
from tests.support.parity_errors import keep_errors, largest_difference
from tests.support.random_sequences import random_sequences
from tfdqn.agents.factory import make_agent
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.config import MLP, SGD, Adam, Agent, Config, Ensemble, Learner, NatureCNN, Optimizer, Replay, RMSprop
from tfdqn.config.reader import kinds
from tfdqn.config.replay import Priorities
from tfdqn.learning.strategies import distribution, factory
from tfdqn.learning.strategies.averaging import AveragingUpdater
from tfdqn.learning.strategies.lockstep import Broadcast, LockstepUpdater, follow
from tfdqn.learning.strategies.model_parallel import ModelParallelUpdater
from tfdqn.learning.strategies.parameter_server import AsynchronousUpdater
from tfdqn.learning.strategies.synchronous import SynchronousUpdater
from tfdqn.learning.train_step import TrainStep
from tfdqn.learning.updater import Updater, UpdateResult
from tfdqn.replay.interfaces import Draw, Examples, Sample
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Adam(learning_rate=0.01),
    "sgd": SGD(learning_rate=0.1, momentum=0.9),
    "rmsprop": RMSprop(learning_rate=0.01, epsilon=0.01),
}
BATCH, UPDATES_PER_CALL, CALLS = 24, 5, 4
UPDATES = UPDATES_PER_CALL * CALLS
CLIP_NORM = 0.3
State = Mapping[str, np.ndarray]
SEQUENCES = Replay(item="sequence", burn_in=2, sequence_length=4, sequence_period=2)


def image_spec() -> TaskSpec:
    """Two stacked frames of 40 × 36 pixels, to which the network adds a margin."""
    pixels = ArraySpec(shape=(2, 40, 36), dtype="uint8", frame_stack=2)
    return TaskSpec(id="Image-v0", observation={"image": pixels}, actions=discrete(3))


def settings(optimizer: str, **learner: object) -> Config:
    own, network = (json.loads(os.environ.get(name, "{}")) for name in ("PARITY_AGENT", "PARITY_NETWORK"))
    agent = kinds(Agent)[own.pop("kind", "double_dqn")]
    return Config(
        network=MLP(hidden_units=(16, 8), **network),
        replay=SEQUENCES if "memory" in network else Replay(),
        optimizer=OPTIMIZERS[optimizer],
        agent=agent(gradient_clip_norm=CLIP_NORM, target_update_period_train_steps=3, target_update_tau=0.3, **own),
        priorities=Priorities(exponent=0.6, importance_start=0.3, importance_train_steps=UPDATES),
        learner=Learner(**{"batch_size": BATCH, "updates_per_call": UPDATES_PER_CALL, **learner}),  # type: ignore[arg-type]
    )


def all_batches(spec: TaskSpec | None = None, batch: int = BATCH) -> Sample:
    """Every global batch one after another, float32[UPDATES × BATCH, …]."""
    rng, config = np.random.default_rng(1), settings("sgd")
    if config.network.state_size:
        examples: Examples = random_sequences(config, spec or case_spec(), UPDATES * batch, rng)
    else:
        examples = random_transitions(spec or case_spec(), UPDATES * batch, rng)
    probability = tf.constant((0.01 + rng.random(UPDATES * batch)) ** 2 / 1000, tf.float32)
    return Sample(examples, None, Draw(probability, tf.range(UPDATES * batch, dtype=tf.int64)[:, tf.newaxis]))


def shares(sample: Sample, part: int = 0, parts: int = 1, batch: int = BATCH) -> Sample:
    """One process's part of every global batch."""
    size = batch // parts
    rows = np.arange(UPDATES * batch).reshape(UPDATES, batch)[:, part * size : (part + 1) * size].ravel()
    return tf.nest.map_structure(lambda x: None if x is None else tf.gather(x, rows), sample)


def in_turn(sample: Sample, size: int) -> Callable[[], Sample]:
    """A sampler, called in the graph: the sample's next `size` rows each time."""
    call = tf.Variable(-1, dtype=tf.int64, trainable=False)

    def next_part() -> Sample:
        first = call.assign_add(1) * size
        return tf.nest.map_structure(
            lambda x: None if x is None else tf.ensure_shape(x[first : first + size], [size, *x.shape[1:]]), sample
        )

    return next_part


def batches_in_turn() -> tf.data.Dataset:
    """The global batches one by one."""
    return tf.data.Dataset.from_tensor_slices(all_batches()).batch(BATCH, drop_remainder=True)


def initial_state(config: Config, spec: TaskSpec | None = None) -> dict[str, np.ndarray]:
    """A state whose online and target weights are random and differ."""
    state = TrainStep(make_agent(config, spec or case_spec()), config).state()
    weights = {name: array for name, array in state.items() if name.startswith(("online/", "target/"))}
    draw = random_small_weights if config.network.fills_all_cores else random_weights
    return state | draw(weights, np.random.default_rng(2))


def local(config: Config, spec: TaskSpec | None = None, batch: int = BATCH) -> SynchronousUpdater:
    """Plain training from the same start."""
    step = TrainStep(make_agent(config, spec or case_spec()), config)
    sampler = in_turn(all_batches(spec, batch), config.learner.updates_per_call * batch)
    return SynchronousUpdater(step, [sampler], config)


def on_the_cpu(config: Config, start: State, spec: TaskSpec | None = None, batch: int = BATCH) -> dict[str, np.ndarray]:
    """What plain training gives there."""
    with tf.device("CPU:0"):
        return run(local(config, spec, batch), start)


def run(updates: Updater, start: State, count: int = UPDATES) -> dict[str, np.ndarray]:
    """The state after all updates. Checks that clipping had something to do, and something not."""
    updates.load_state(start)
    norms: list[float] = []
    metrics: list[np.ndarray] = []
    errors = np.full(count * BATCH, np.nan, np.float32)
    while len(norms) < count:
        for result in (updates(count - len(norms)), updates.settle()):
            if result is not None:
                norms.extend(result.metrics.gradient_norm)
                metrics.append(metrics_of(result))
                keep_errors(errors, result)
    assert max(norms) > CLIP_NORM > 0, norms
    return updates.state() | {"errors": errors, "metrics": np.concatenate(metrics)}


def metrics_of(result: UpdateResult) -> np.ndarray:
    """The loss, and the loss's own metrics, of a call's N updates: float32[N, 1 + M]."""
    return np.stack([result.metrics.loss, *result.metrics.of_loss], axis=1)


def difference(ours: State, theirs: State, parts: int = 1) -> float:
    """The largest; the names must be the same, and of all errors theirs one part, of which its metrics are means."""
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    assert ours["train_steps"] == UPDATES
    errors = largest_difference(ours["errors"], theirs["errors"], parts)
    others = ours.keys() - {"errors", *(["metrics"] if parts > 1 else [])}
    return max(errors, *(float(np.abs(ours[name] - theirs[name]).max()) for name in others))


def mirrored(
    replicas: int, optimizer: str, xla: str, all_reduce: str = "auto", size: str = "1", parts: str = "1"
) -> float:
    """With as many `parts` as replicas, each has a sampler of its own."""
    devices = logical_devices(replicas)
    config = settings(optimizer, xla=xla, strategy="mirrored", all_reduce=all_reduce)
    config = msgspec.structs.replace(config, ensemble=Ensemble(size=int(size)))
    strategy = distribution.make_strategy(config, None, devices)
    assert strategy is not None
    start = initial_state(config)
    expected = on_the_cpu(config, start)
    with strategy.scope():
        step = TrainStep(make_agent(config, case_spec()), config)
    samplers = [
        in_turn(shares(all_batches(), part, int(parts)), UPDATES_PER_CALL * BATCH // int(parts))
        for part in range(int(parts))
    ]
    updates = SynchronousUpdater(step, samplers, config, strategy)
    reached = run(updates, start)
    for variable in step.named_variables().values():  # the replicas are one another's copies
        first, *others = (copy.numpy() for copy in strategy.experimental_local_results(variable))
        assert len(others) == replicas - 1
        for other in others:
            np.testing.assert_array_equal(first, other)
    return difference(expected, reached)


def parameter_server(servers: int, optimizer: str, xla: str, _: str = "", size: str = "1") -> float:
    config = settings(optimizer, xla=xla, updates_per_read=1, max_staleness_train_steps=1)
    config = msgspec.structs.replace(config, ensemble=Ensemble(size=int(size)))
    cluster = cluster_of_environment()
    assert cluster is not None and cluster.counts["ps"] == servers
    strategy = distribution.parameter_server(cluster)
    there = {tf.DeviceSpec.from_string(each.name).job for each in tf.config.list_logical_devices("CPU")}
    assert "worker" in there, there  # by which `learns_on_gpus` knows the workers' GPUs
    start = initial_state(config)
    expected = on_the_cpu(config, start)
    updates = AsynchronousUpdater(config, case_spec(), strategy, lambda: batches_in_turn().repeat(), workers=1)
    # One after another: only then is asynchronous training the same as plain.
    updates.load_state(start)
    errors, metrics = np.full(UPDATES * BATCH, np.nan, np.float32), []
    for _ in range(UPDATES):
        result = updates(1)
        assert result.staleness.tolist() == [0]
        keep_errors(errors, result)
        metrics.append(metrics_of(result))
    reached = updates.state() | {"errors": errors, "metrics": np.concatenate(metrics)}
    updates._parameters._train_steps.assign_add(2)  # as if a worker had been lost during its push
    assert updates(1).dropped == 1 and updates(1).staleness.tolist() == [0]
    updates.close()
    return difference(expected, reached)


def multi_worker(workers: int, optimizer: str, xla: str) -> float:
    """What each of the processes runs."""
    config = settings(optimizer, xla=xla)
    cluster = cluster_of_environment()
    assert cluster is not None
    strategy = distribution.multi_worker(cluster)
    with strategy.scope():
        step = TrainStep(make_agent(config, case_spec()), config)
    share = shares(all_batches(), cluster.index, workers)
    sampler = in_turn(share, UPDATES_PER_CALL * BATCH // workers)
    updates = SynchronousUpdater(step, [sampler], config, strategy)
    broadcast = Broadcast(strategy)
    if cluster.index > 0:
        follow(updates, broadcast)
        return 0.0
    start = initial_state(config)
    reached = run(led := LockstepUpdater(updates, broadcast), start)
    led.close()
    return difference(on_the_cpu(config, start), reached, workers)


def averaging(units: int, optimizer: str, xla: str) -> float:
    """One after each update, of SGD without clipping: as synchronous."""
    devices = logical_devices(units)
    config = settings(optimizer, xla=xla, averaging_period_train_steps=1)
    config = msgspec.structs.replace(config, agent=msgspec.structs.replace(config.agent, gradient_clip_norm=0.0))
    start = initial_state(config)
    expected = on_the_cpu(config, start)
    sampler = in_turn(all_batches(), UPDATES_PER_CALL * BATCH)
    updates = AveragingUpdater(config, case_spec(), devices, sampler)
    return difference(expected, run(updates, start))


def mesh(columns: int, optimizer: str, rows: str = "1", network: str = "mlp") -> float:
    """Rows of so many columns; of convolutions, or of layers that do not divide evenly."""
    devices = logical_devices(columns * int(rows))
    config, spec, batch = settings(optimizer, xla="off"), case_spec(), BATCH
    if network == "uneven mlp":  # whose head is split, too
        config = msgspec.structs.replace(config, network=MLP(hidden_units=(15, 9, 7)))
    if network == "cnn":
        config = msgspec.structs.replace(config, network=NatureCNN(dense_units=10))
        spec = image_spec()
    start = initial_state(config, spec)
    expected = on_the_cpu(config, start, spec, batch)
    updates = ModelParallelUpdater(
        config,
        spec,
        [devices[i : i + columns] for i in range(0, len(devices), columns)],
        in_turn(all_batches(spec, batch), UPDATES_PER_CALL * batch),
    )
    reached = run(updates, start)
    assert len(updates._replicas) == int(rows)
    for step in updates._replicas[1:]:  # the rows are one another's copies
        assert all((reached[name] == array).all() for name, array in step.state().items())
    return difference(expected, reached)


def units(size: int, optimizer: str, xla: str) -> float:
    """Each of an ensemble's members in its own process, on the batches that all members in one network see."""
    config = settings(optimizer, xla=xla)
    config = msgspec.structs.replace(config, ensemble=Ensemble(size=size, data="all", execution="processes"))
    cluster = cluster_of_environment()
    strategy = distribution.make_strategy(config, cluster, ["CPU:0"])
    assert cluster is not None and strategy is not None
    batches = SimpleNamespace(sampler=partial(in_turn, all_batches()))
    updates = factory.make_updater(config, case_spec(), strategy, cluster, ["CPU:0"], batches)
    broadcast = Broadcast(strategy)
    if cluster.index > 0:
        follow(updates, broadcast)
        return 0.0
    led = LockstepUpdater(updates, broadcast)
    batched = TrainStep(make_agent(config, case_spec()), config)
    begun, expected_start = led.state(), batched.state()
    assert all((begun[name] == array).all() for name, array in expected_start.items())
    start = initial_state(config)
    assert all(array.shape[0] == size for name, array in start.items() if name.startswith("online/"))
    reached = run(led, start)
    led.close()
    expected = on_the_cpu(config, start)
    # A member in its own process has its own errors; all in one network, their mean.
    return difference(expected, reached | {"errors": expected["errors"]})


WAYS = {
    "units": units,
    "mesh": mesh,
    "averaging": averaging,
    "multi_worker": multi_worker,
    "mirrored": mirrored,
    "parameter_server": parameter_server,
}
