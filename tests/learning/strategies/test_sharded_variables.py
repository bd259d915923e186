"""Where a push of gradients comes in the sequence of updates, what is too stale, and when the target is copied."""

from threading import Thread

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import vector_spec
from tfdqn.config import DQN, MLP, PQN, SGD, Config, Learner
from tfdqn.learning.flat_vector import FlatLayout
from tfdqn.learning.strategies.server_statistics import ServerStatistics
from tfdqn.learning.strategies.sharded_variables import Place, ShardedVariables
from tfdqn.networks.factory import network_to_load
from tfdqn.networks.layers.statistics import moments_of

SIZE, RATE = 6, 0.5


def shared(max_staleness: int = 0, period: int = 1000, tau: float = 1.0) -> ShardedVariables:
    config = Config(
        optimizer=SGD(learning_rate=RATE),
        agent=DQN(target_update_period_train_steps=period, target_update_tau=tau),
        learner=Learner(strategy="parameter_server", max_staleness_train_steps=max_staleness),
    )
    return ShardedVariables(FlatLayout({"a": tf.zeros([2, 2]), "b": tf.zeros([2])}), config)


def push(parameters: ShardedVariables, values: list[float], version: int) -> tuple[int, int]:
    """Pushes one gradient per value, all its elements alike: (staleness of the first, how many were applied)."""
    gradients = tf.constant(np.repeat(np.array(values, np.float32)[:, np.newaxis], SIZE, axis=1))
    call = tf.function(parameters.apply, autograph=False)
    place: Place = call(gradients, tf.constant(version, tf.int64))
    return int(place.staleness), int(place.accepted)


def weight(parameters: ShardedVariables) -> float:
    weights = np.concatenate([each.ravel() for each in parameters.weights().values()])
    assert (weights == weights[0]).all()
    return float(weights[0])


def test_every_gradient_is_an_update_and_staleness_counts_those_since_the_reading() -> None:
    parameters = shared()
    assert push(parameters, [1.0, 2.0], version=0) == (0, 2)
    assert push(parameters, [4.0], version=0) == (2, 1)
    assert push(parameters, [8.0, 16.0, 32.0], version=3) == (0, 3)
    assert weight(parameters) == -RATE * 63
    state = parameters.state()
    assert state["train_steps"] == state["optimizer/iterations"] == 6
    version, weights, *_ = parameters.read()
    assert int(version) == 6
    np.testing.assert_array_equal(weights, np.full(SIZE, -RATE * 63, np.float32))


@pytest.mark.parametrize(("version", "accepted"), [(10, 4), (9, 4), (8, 3), (6, 1), (5, 0), (0, 0)])
def test_gradients_beyond_the_bound_are_dropped(version: int, accepted: int) -> None:
    """After ten updates, with a bound of 4: the j-th of a push has staleness 10 - version + j."""
    parameters = shared(max_staleness=4)
    for step in range(10):
        push(parameters, [0.0], step)
    assert push(parameters, [1.0, 2.0, 4.0, 8.0], version) == (10 - version, accepted)
    assert weight(parameters) == -RATE * (2**accepted - 1)
    assert parameters.state()["train_steps"] == 10 + accepted


def test_what_was_dropped_brings_no_target_update() -> None:
    parameters = shared(max_staleness=1, period=3)
    push(parameters, [1.0, 1.0], version=0)
    assert push(parameters, [1.0, 1.0], version=0) == (2, 0)
    assert not parameters.state()["target/a"].any()
    push(parameters, [1.0], version=2)
    assert (parameters.state()["target/a"] == -RATE * 3).all()


def test_the_target_is_updated_exactly_after_every_period_inside_a_push_too() -> None:
    parameters = shared(period=4, tau=0.5)
    push(parameters, [1.0] * 3, version=0)
    assert not parameters.state()["target/b"].any()
    push(parameters, [1.0] * 6, version=3)  # updates 4 to 9: copies at 4 and at 8
    after_4, after_8 = -RATE * 4, -RATE * 8
    expected = 0.5 * after_4 + 0.5 * (after_8 - 0.5 * after_4)
    assert (parameters.state()["target/b"] == expected).all()


def test_a_state_that_is_put_back_goes_on() -> None:
    parameters, other = shared(period=3), shared(period=3)
    push(parameters, [1.0, 2.0], version=0)
    other.load_state(parameters.state())
    for each in (parameters, other):
        push(each, [3.0, 4.0], version=2)
    ours, theirs = parameters.state(), other.state()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_updates_that_are_still_being_applied_count_as_stale() -> None:
    """Two pushes at a time: who reads between their places and their applying has neither."""
    parameters = shared()
    push(parameters, [1.0], version=0)
    parameters._train_steps.assign_add(5)  # another push has taken its places and is under way
    version = parameters.read().version
    assert int(version) == 1
    assert push(parameters, [1.0], int(version)) == (5, 1)


def test_what_others_push_while_gradients_are_computed_counts_as_stale() -> None:
    """Nor do others wait for that: turns begin only once what is pushed is there."""
    parameters, statistics = shared(), Config(network=MLP(normalize_observations=True))
    parameters.statistics = ServerStatistics(network_to_load(statistics, vector_spec(5, 3)), statistics, "CPU:0")
    moments = tf.stack([parameters.statistics.read()] * 5)
    apply = tf.function(parameters.apply, autograph=False)
    others = Thread(target=apply, args=(tf.ones([5, SIZE]), tf.constant(0, tf.int64), moments), daemon=True)

    def compute() -> np.ndarray:
        others.start()
        others.join(20)
        return np.ones((2, SIZE), np.float32)

    @tf.function(autograph=False)
    def closure() -> Place:
        version = parameters.read().version
        gradients = tf.ensure_shape(tf.numpy_function(compute, [], tf.float32), [2, SIZE])
        return parameters.apply(gradients, version, moments[:2] * gradients[0, 0])

    place: Place = closure()
    assert (int(place.staleness), int(place.accepted)) == (5, 2) and not others.is_alive()


def test_a_push_that_was_lost_after_its_turn_makes_nothing_stale_once_all_have_settled() -> None:
    parameters = shared(max_staleness=4)
    parameters._train_steps.assign_add(5)  # by a worker that has died since
    assert push(parameters, [1.0], int(parameters.read().version)) == (5, 0)
    parameters.settle()
    assert push(parameters, [1.0], int(parameters.read().version)) == (0, 1)


def test_both_networks_read_the_statistics_of_all_applied_batches() -> None:
    """Also where the target's weights follow slowly; a checkpoint whose target's lagged is loaded as the online's."""
    agent = DQN(target_update_period_train_steps=1000, target_update_tau=0.01)
    learner = Learner(strategy="parameter_server", max_staleness_train_steps=2)
    config = Config(agent=agent, network=MLP(normalize_observations=True), optimizer=SGD(), learner=learner)
    parameters = ShardedVariables(FlatLayout({"a": tf.zeros([2])}), config)
    parameters.statistics = ServerStatistics(network_to_load(config, vector_spec(5, 3)), config, "CPU:0")
    rng = np.random.default_rng(0)
    vectors = rng.normal(7.0, 2.0, (4, 30, 5)).astype(np.float32)
    moments = tf.stack([parameters.statistics.flat({"observation": moments_of(batch, None)}) for batch in vectors])
    place = parameters.apply(tf.zeros([4, 2]), tf.constant(0, tf.int64), moments)
    assert int(place.accepted) == 3  # the fourth is too stale
    state, read = parameters.state(), parameters.statistics.named_tensors(parameters.read().statistics)
    learned = vectors[:3].reshape(-1, 5)
    for name, expected in (("mean", learned.mean(0)), ("variance", learned.var(0)), ("count", 90)):
        name = f"observation_statistics/{name}"
        for found in (state[f"online/{name}"], state[f"target/{name}"], read[name]):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    parameters.load_state(state | {"target/observation_statistics/count": np.float32(0.9)})
    assert parameters.state()["target/observation_statistics/count"] == 90


def test_a_loss_without_a_target_network_has_none_in_its_state() -> None:
    """As in `TrainStep.state`, whose checkpoints are loaded here. Of the user's own losses; PQN only stands for one."""
    config = Config(agent=PQN(), network=MLP(normalize_observations=True), optimizer=SGD())
    parameters = ShardedVariables(FlatLayout({"a": tf.zeros([2])}), config)
    parameters.statistics = ServerStatistics(network_to_load(config, vector_spec(5, 3)), config, "CPU:0")
    state = parameters.state()
    assert "online/a" in state and not [name for name in state if name.startswith("target/")]
    parameters.load_state(state | {"online/a": np.float32([1, 2])})
    assert parameters.weights()["a"].tolist() == [1, 2]
