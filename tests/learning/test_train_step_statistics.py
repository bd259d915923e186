"""Running statistics in an update: of what it learned from, counted after the gradient, the same in both networks."""

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_transitions, vector_spec
from tests.support.random_sequences import random_sequences
from tfdqn.agents.factory import make_agent
from tfdqn.config import DQN, MLP, PQN, Adam, Config, Ensemble, Replay
from tfdqn.learning.train_step import TrainStep
from tfdqn.replay.interfaces import Sample
from tfdqn.task_spec import TaskSpec

MEAN, VARIANCE, COUNT = (f"observation_statistics/{name}" for name in ("mean", "variance", "count"))


def settings(normalize: bool = True, size: int = 1, **agent: float) -> Config:
    return Config(
        network=MLP(hidden_units=(6,), normalize_observations=normalize),
        agent=DQN(**agent),  # type: ignore[arg-type]
        optimizer=Adam(learning_rate=0.1),
        ensemble=Ensemble(size=size),
    )


def samples(spec: TaskSpec, count: int) -> list[Sample]:
    rng = np.random.default_rng(3)
    return [Sample(random_transitions(spec, 16, rng), None, None) for _ in range(count)]


def seen(sample: Sample) -> np.ndarray:
    observation = sample.transition.time_step.observation
    return (observation[0] if isinstance(observation, tuple) else observation)["observation"].numpy()


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("masks", [False, True])
def test_an_update_counts_the_states_that_it_learned_from(masks: bool, size: int) -> None:
    spec, config = vector_spec(action_masks=masks), settings(size=size)
    step, batches = TrainStep(make_agent(config, spec), config), samples(spec, 5)
    update = tf.function(step, autograph=False)
    for batch in batches:
        update(batch)
    everything = np.concatenate([seen(batch) for batch in batches])
    state = step.state()
    for member in range(size):
        of = (lambda name: state[f"online/{name}"]) if size == 1 else lambda name, k=member: state[f"online/{name}"][k]
        np.testing.assert_allclose(of(MEAN), everything.mean(0), atol=1e-5)
        np.testing.assert_allclose(of(VARIANCE), everything.var(0), rtol=1e-5)
        assert of(COUNT) == len(everything)


@pytest.mark.parametrize("kind", ["dqn", "pqn"])
def test_what_has_no_weight_does_not_count(kind: str) -> None:
    """As the rows of a rollout that only carry a reset; a batch of nothing else changes no statistics."""
    spec = vector_spec()
    config = settings() if kind == "dqn" else msgspec.structs.replace(settings(), agent=PQN())
    step, (first, second, third) = TrainStep(make_agent(config, spec), config), samples(spec, 3)
    weights = np.where(np.arange(16) < 11, 0.3, 0.0).astype(np.float32)
    step(first._replace(weights=tf.zeros(16)))
    assert step.state()[f"online/{COUNT}"] == 0
    np.testing.assert_array_equal(step.state()[f"online/{VARIANCE}"], np.ones(3))
    for batch in (second, third):
        step(batch._replace(weights=tf.constant(weights)))
    learned = np.concatenate([seen(second)[:11], seen(third)[:11]])
    before = step.state()
    step(first._replace(weights=tf.zeros(16)))
    for state in (before, step.state()):
        np.testing.assert_allclose(state[f"online/{MEAN}"], learned.mean(0), atol=1e-5)
        np.testing.assert_allclose(state[f"online/{VARIANCE}"], learned.var(0), rtol=1e-5)
        assert state[f"online/{COUNT}"] == 22


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("period", "tau"), [(1, 1.0), (3, 1.0), (1, 0.01), (2, 0.5)])
def test_the_target_network_has_the_same_although_its_weights_follow_slowly(period: int, tau: float, size: int) -> None:
    spec = vector_spec()
    config = settings(size=size, target_update_period_train_steps=period, target_update_tau=tau)
    step = TrainStep(make_agent(config, spec), config)
    update, target = tf.function(step, autograph=False), step.state()["target/hidden_0/kernel"]
    for count, batch in enumerate(samples(spec, 5), 1):
        update(batch)
        state = step.state()
        for name in (MEAN, VARIANCE, COUNT):
            np.testing.assert_array_equal(state[f"target/{name}"], state[f"online/{name}"])
        if count % period == 0:
            target = target + tau * (state["online/hidden_0/kernel"] - target)
        np.testing.assert_allclose(state["target/hidden_0/kernel"], target, atol=1e-6)


def test_statistics_that_lagged_in_an_earlier_revisions_checkpoint_are_replaced() -> None:
    spec, config = vector_spec(), settings(target_update_period_train_steps=100)
    step, (batch,) = TrainStep(make_agent(config, spec), config), samples(spec, 1)
    step(batch)
    before = step.state()
    step.load_state(before | {f"target/{MEAN}": np.zeros(3, np.float32), f"target/{COUNT}": np.float32(0.1)})
    for name, array in step.state().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_a_target_network_that_the_loss_does_not_use_counts_nothing() -> None:
    spec, config = vector_spec(), msgspec.structs.replace(settings(), agent=PQN())
    step, (batch,) = TrainStep(make_agent(config, spec), config), samples(spec, 1)
    step(batch)
    assert not [name for name in step.state() if name.startswith("target/")]
    assert step.agent.target_network.statistics["observation"].count == 0


def test_the_gradient_is_that_of_the_statistics_before() -> None:
    """So that workers, who read weights and statistics together, take the same one."""
    spec, config = vector_spec(), settings()
    (batch,) = samples(spec, 1)
    plain = settings(normalize=False)
    counting, other = (TrainStep(make_agent(each, spec), each) for each in (config, plain))
    start = {name: array for name, array in counting.state().items() if name in other.state()}
    other.load_state(start)
    counting(batch)
    other(batch)  # mean 0 and variance 1 change nothing within ten deviations
    assert np.abs(seen(batch)).max() < 10
    for name, array in other.state().items():
        np.testing.assert_allclose(counting.state()[name], array, rtol=1e-3, atol=1e-5, err_msg=name)


def test_the_optimizer_has_no_slot_for_them_and_without_the_key_there_are_none() -> None:
    spec = vector_spec()
    normal, plain = (
        TrainStep(make_agent(each, spec), each).state() for each in (settings(), settings(normalize=False))
    )
    extra = {f"{part}/{name}" for part in ("online", "target") for name in (MEAN, VARIANCE, COUNT)}
    assert normal.keys() - plain.keys() == extra
    assert plain.keys() <= normal.keys()


def test_a_sequences_padding_and_its_burn_in_do_not_count() -> None:
    replay = Replay(item="sequence", burn_in=2, sequence_length=4, sequence_period=2)
    network = MLP(hidden_units=(6,), normalize_observations=True, memory="gru", memory_units=4)
    config, spec = Config(network=network, replay=replay), vector_spec()
    step = TrainStep(make_agent(config, spec), config)
    sequences = random_sequences(config, spec, 16, np.random.default_rng(4))
    weights = np.where(np.arange(16) < 12, 0.5, 0.0).astype(np.float32)
    step(Sample(sequences, tf.constant(weights), None))
    taken = (sequences.steps.numpy() > 0) & (weights > 0)[:, np.newaxis]
    assert 0 < taken.sum() < taken.size
    learned = sequences.observation["observation"].numpy()[:, 2:6][taken]
    np.testing.assert_allclose(step.state()[f"online/{MEAN}"], learned.mean(0), atol=1e-5)
    np.testing.assert_allclose(step.state()[f"online/{VARIANCE}"], learned.var(0), rtol=1e-5)
    assert step.state()[f"online/{COUNT}"] == taken.sum()
