"""One update: gradient, clipping, optimizer and target network against a NumPy oracle."""

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from tests.support import update_oracle
from tests.support.batches import random_transitions, random_weights, transitions, vector_spec
from tfdqn import config
from tfdqn.agents.dqn import DqnAgent
from tfdqn.config import DQN, MLP, SGD, Adam, Agent, Config, DoubleDQN, Linear, RMSprop
from tfdqn.learning.optimizers import learning_rate_schedule, make_optimizer
from tfdqn.learning.train_step import TrainStep
from tfdqn.replay.interfaces import Sample

SPEC = vector_spec(3, 4)
OPTIMIZERS = {
    "sgd": SGD(learning_rate=0.1),
    "momentum": SGD(learning_rate=0.1, momentum=0.9),
    "adam": Adam(learning_rate=0.05, beta_1=0.8, beta_2=0.9, epsilon=0.1),
    "rmsprop": RMSprop(learning_rate=0.05, epsilon=0.01, centered=False),
    "rmsprop, centred": RMSprop(learning_rate=0.05, epsilon=0.01),
    "rmsprop with momentum": RMSprop(learning_rate=0.05, epsilon=0.01, momentum=0.7),
}


def random_batch(rng: np.random.Generator, size: int = 8, scale: float = 3.0) -> update_oracle.Batch:
    return update_oracle.Batch(
        phi_tm1=rng.normal(size=(size, 3)),
        action=rng.integers(4, size=size),
        reward=rng.normal(scale=scale, size=size),
        discount=0.9 * (rng.random(size) < 0.7),
        phi_t=rng.normal(size=(size, 3)),
        weights=rng.random(size) + 0.1,
    )


def sample(batch: update_oracle.Batch, weighted: bool = True) -> Sample:
    transition = transitions(
        SPEC,
        {"observation": batch.phi_tm1.astype(np.float32)},
        batch.action,
        batch.reward,
        batch.discount,
        {"observation": batch.phi_t.astype(np.float32)},
    )
    return Sample(transition, tf.constant(batch.weights, tf.float32) if weighted else None)


def linear_train_step(
    optimizer: config.Optimizer, agent: Agent, rng: np.random.Generator
) -> tuple[TrainStep, tf.Variable, tf.Variable]:
    """A linear network with random, different online and target weights; and both of them."""
    settings = Config(network=Linear(), optimizer=optimizer, agent=agent)
    step = TrainStep(DqnAgent(settings, SPEC), settings)
    for network in (step.agent.network, step.agent.target_network):
        network.load_named_weights(random_weights(network.named_weights(), rng))
    (theta,) = step.agent.network.named_weights().values()
    (target,) = step.agent.target_network.named_weights().values()
    return step, theta, target


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("clip_norm", [0.0, 0.2])
@pytest.mark.parametrize("settings", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_updates_equal_those_of_numpy(settings: config.Optimizer, clip_norm: float, compiled: bool) -> None:
    rng = np.random.default_rng(1)
    never = 1000
    agent = DQN(gradient_clip_norm=clip_norm, target_update_period_train_steps=never)
    step, theta, target = linear_train_step(settings, agent, rng)
    expected, apply = theta.numpy().astype(float), update_oracle.optimizer(settings)
    call = tf.function(step, autograph=False, jit_compile=compiled)
    for _ in range(4):
        batch = random_batch(rng)
        gradient = update_oracle.gradient(expected, target.numpy(), batch)
        assert np.linalg.norm(gradient) > 0.2  # so that clipping has something to do
        metrics = call(sample(batch)).metrics
        np.testing.assert_allclose(metrics.gradient_norm, np.linalg.norm(gradient), rtol=1e-4)
        expected = apply(expected, update_oracle.clipped(gradient, clip_norm))
        np.testing.assert_allclose(theta, expected, rtol=1e-4, atol=2e-6)
    assert step.train_steps.numpy() == step.optimizer.iterations.numpy() == 4


def test_rmsprop_by_default_is_the_papers_whose_gradient_is_the_sum_over_a_batch_of_32() -> None:
    """Mnih et al. 2015, Extended Data Table 1: learning rate 0.00025, momenta 0.95, min squared gradient 0.01."""
    rng = np.random.default_rng(12)
    step, theta, target = linear_train_step(RMSprop(), DQN(), rng)
    start = theta.numpy().astype(float)
    expected, apply = start, update_oracle.optimizer(RMSprop(learning_rate=2.5e-4, decay=0.95, epsilon=0.01))
    for _ in range(8):
        batch = random_batch(rng, size=32)
        batch = batch._replace(phi_tm1=0.1 * batch.phi_tm1, weights=np.ones(32))
        expected = apply(expected, 32 * update_oracle.gradient(expected, target.numpy(), batch))
        step(sample(batch, weighted=False))
    np.testing.assert_allclose(theta - start, expected - start, rtol=0.01, atol=1e-6)


def test_gradients_are_clipped_by_the_norm_over_all_weights_together() -> None:
    """Two layers: their common norm is clipped, and each keeps its share."""
    rng = np.random.default_rng(2)
    settings = Config(
        network=MLP(hidden_units=(6,), activation="tanh"),
        optimizer=SGD(learning_rate=1.0),
        agent=DQN(gradient_clip_norm=0.5),
    )
    step = TrainStep(DqnAgent(settings, SPEC), settings)
    batch = sample(random_batch(rng))
    gradients, _ = step.gradients(batch)
    norm = np.sqrt(sum((g.numpy() ** 2).sum() for g in gradients))
    assert norm > 0.5
    before = [weight.numpy() for weight in step.agent.network.named_weights().values()]
    step(batch)
    for weight, old, gradient in zip(step.agent.network.named_weights().values(), before, gradients, strict=True):
        np.testing.assert_allclose(weight, old - gradient * 0.5 / norm, atol=1e-6)


def test_a_gradient_within_the_norm_is_left_alone() -> None:
    rng = np.random.default_rng(3)
    step, theta, _ = linear_train_step(SGD(learning_rate=1.0), DQN(gradient_clip_norm=1e6), rng)
    batch = sample(random_batch(rng))
    before, (gradient,) = theta.numpy(), step.gradients(batch)[0]
    step(batch)
    np.testing.assert_allclose(theta, before - gradient, atol=1e-6)


def test_without_importance_weights_all_examples_count_alike() -> None:
    rng = np.random.default_rng(4)
    step, theta, target = linear_train_step(SGD(), DQN(), rng)
    batch = random_batch(rng)
    (gradient,), _ = step.gradients(sample(batch, weighted=False))
    expected = update_oracle.gradient(theta.numpy(), target.numpy(), batch._replace(weights=np.ones(8)))
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_metrics_are_of_the_batch_before_the_update() -> None:
    rng = np.random.default_rng(5)
    step, theta, target = linear_train_step(SGD(learning_rate=1.0), DQN(), rng)
    batch = random_batch(rng)
    q = batch.phi_tm1 @ theta.numpy()
    q_value = q[np.arange(8), batch.action]
    td_error = batch.reward + batch.discount * (batch.phi_t @ target.numpy()).max(axis=1) - q_value
    metrics = step(sample(batch)).metrics
    np.testing.assert_allclose(metrics.loss, np.mean(batch.weights * td_error**2 / 2), rtol=1e-5)
    np.testing.assert_allclose(metrics.mean_q, q_value.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics.max_q, q.max(), rtol=1e-5)
    np.testing.assert_allclose(metrics.mean_abs_td_error, np.abs(td_error).mean(), rtol=1e-5)


def test_the_target_is_copied_exactly_every_period() -> None:
    rng = np.random.default_rng(6)
    step, theta, target = linear_train_step(SGD(), DQN(target_update_period_train_steps=3), rng)
    held = target.numpy()
    for train_step in range(1, 8):
        step(sample(random_batch(rng)))
        if train_step % 3 == 0:
            held = theta.numpy()
        np.testing.assert_array_equal(target, held)
        assert np.array_equal(target, theta) == (train_step % 3 == 0)


@pytest.mark.parametrize("period", [1, 2])
def test_a_soft_update_moves_the_target_a_part_of_the_way(period: int) -> None:
    rng = np.random.default_rng(7)
    agent = DQN(target_update_period_train_steps=period, target_update_tau=0.25)
    step, theta, target = linear_train_step(SGD(), agent, rng)
    held = target.numpy()
    for train_step in range(1, 5):
        step(sample(random_batch(rng)))
        if train_step % period == 0:
            held = 0.75 * held + 0.25 * theta.numpy()
        np.testing.assert_allclose(target, held, atol=1e-6)


@pytest.mark.parametrize("kind", [Adam, RMSprop, SGD])
@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.1, 0.1, 0.1, 0.1]),
        ("linear", [0.1, 0.0505, 0.001, 0.001]),  # the middle of 0.1 and 0.001
        ("exponential", [0.1, 0.01, 0.001, 0.001]),  # a hundredth over all: a tenth over half
    ],
)
def test_learning_rates_follow_their_schedule(kind: type, schedule: str, expected: list[float]) -> None:
    settings = kind(learning_rate=0.1, end_learning_rate=0.001, decay_train_steps=100, schedule=schedule)
    rate = learning_rate_schedule(settings)
    at = [rate(tf.constant(step, tf.int64)) if callable(rate) else rate for step in (0, 50, 100, 1000)]
    np.testing.assert_allclose(at, expected, rtol=1e-5)


def test_the_optimizer_follows_its_schedule_by_its_own_count() -> None:
    settings = SGD(learning_rate=1.0, end_learning_rate=0.5, decay_train_steps=2, schedule="linear")
    optimizer, weight = make_optimizer(settings), tf.Variable(0.0)
    steps = []
    for _ in range(4):
        before = weight.numpy()
        optimizer.apply_gradients([(tf.constant(-1.0), weight)])
        steps.append(float(weight.numpy() - before))
    assert steps == pytest.approx([1.0, 0.75, 0.5, 0.5])


@pytest.mark.parametrize("settings", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_what_named_variables_hold_is_all_that_an_update_depends_on(settings: config.Optimizer) -> None:
    rng = np.random.default_rng(8)
    whole = Config(
        network=MLP(hidden_units=(5,)),
        optimizer=msgspec.structs.replace(settings, schedule="exponential", decay_train_steps=10),
        agent=DoubleDQN(target_update_period_train_steps=4),
    )
    first, second = (TrainStep(DqnAgent(whole, SPEC), whole) for _ in range(2))
    for _ in range(3):
        first(Sample(random_transitions(SPEC, 8, rng), None))
    saved = {name: variable.numpy() for name, variable in first.named_variables().items()}
    assert saved["train_steps"] == 3
    variables = second.named_variables()
    assert variables.keys() == saved.keys()
    for name, variable in variables.items():
        variable.assign(saved[name])
    for _ in range(2):
        batch = Sample(random_transitions(SPEC, 8, rng), None)
        first(batch)
        second(batch)
    for name, variable in first.named_variables().items():
        np.testing.assert_array_equal(variable, variables[name], err_msg=name)


def test_named_variables_have_canonical_names() -> None:
    names = linear_train_step(Adam(), DQN(), np.random.default_rng(9))[0].named_variables().keys()
    assert set(names) == {
        "train_steps",
        "online/theta/kernel",
        "target/theta/kernel",
        "optimizer/iterations",
        "optimizer/m/theta/kernel",
        "optimizer/v/theta/kernel",
    }
