"""Many updates in one call: the same as one by one, compiled or not; a NaN is reported with its train step."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories.trajectory import Transition

from tests.support.batches import random_transitions, random_weights, vector_spec
from tfdqn.agents.dqn import DqnAgent
from tfdqn.config import MLP, Adam, Config, DoubleDQN, Ensemble, NatureCNN
from tfdqn.config import Learner as LearnerSettings
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.errors import NotFiniteError
from tfdqn.learning.devices import uses_xla
from tfdqn.learning.learner import Learner
from tfdqn.learning.strategies.synchronous import SynchronousUpdater
from tfdqn.learning.train_step import TrainStep, UpdateMetrics
from tfdqn.learning.updater import UpdateResult
from tfdqn.replay.interfaces import Sample

UPDATES, BATCH = 5, 8


def settings(xla: str = "off") -> Config:
    return Config(
        network=MLP(hidden_units=(6,)),
        optimizer=Adam(learning_rate=0.01),
        agent=DoubleDQN(gradient_clip_norm=0.5, target_update_period_train_steps=3),
        learner=LearnerSettings(batch_size=BATCH, updates_per_call=UPDATES, xla=xla),  # type: ignore[arg-type]
    )


def made(config: Config, masks: bool = False) -> TrainStep:
    step = TrainStep(DqnAgent(config, vector_spec(action_masks=masks)), config)
    rng = np.random.default_rng(1)
    for network in (step.agent.network, step.agent.target_network):
        network.load_named_weights(random_weights(network.named_weights(), rng))
    return step


def random_sample(rng: np.random.Generator, calls: int = 1, masks: bool = False) -> Sample:
    count = calls * UPDATES * BATCH
    transition = random_transitions(vector_spec(action_masks=masks), count, rng)
    return Sample(transition, tf.constant(rng.random(count), tf.float32))


def part(sample: Sample, index: int, size: int) -> Sample:
    return tf.nest.map_structure(lambda x: None if x is None else x[index * size : (index + 1) * size], sample)


def in_turn(sample: Sample) -> Callable[[], Sample]:
    """A sampler, called in the graph: the sample's calls one after another."""
    call = tf.Variable(-1, dtype=tf.int64)

    def next_part() -> Sample:
        first = call.assign_add(1) * UPDATES * BATCH
        return tf.nest.map_structure(
            lambda x: (
                None
                if x is None
                else tf.ensure_shape(x[first : first + UPDATES * BATCH], [UPDATES * BATCH, *x.shape[1:]])
            ),
            sample,
        )

    return next_part


@pytest.mark.parametrize("xla", ["off", "on"])
def test_k_updates_in_one_call_equal_k_single_ones(xla: str) -> None:
    config = settings(xla)
    masks = xla == "off"
    sample = random_sample(np.random.default_rng(2), calls=2, masks=masks)
    one_by_one, at_once = made(config, masks), made(config, masks)
    single = tf.function(one_by_one, autograph=False)
    expected = [single(part(sample, i, BATCH)).metrics for i in range(2 * UPDATES)]
    updates = SynchronousUpdater(at_once, [in_turn(sample)], config)
    histories = [updates().metrics, updates().metrics]
    np.testing.assert_allclose(
        np.concatenate([history.columns() for history in histories], axis=1).T,
        [metrics.columns() for metrics in expected],
        rtol=1e-5,
        atol=1e-6,
    )
    variables = at_once.named_variables()
    assert variables["train_steps"] == 2 * UPDATES
    for name, variable in one_by_one.named_variables().items():
        np.testing.assert_allclose(variable, variables[name], atol=1e-6, err_msg=name)


def learner(step: TrainStep, sample: Sample, config: Config) -> tuple[Learner, WeightsBoard]:
    board = WeightsBoard()
    return Learner(SynchronousUpdater(step, [in_turn(sample)], config), board, lambda priorities: None), board


def with_nan_at(sample: Sample, index: int) -> Sample:
    transition = sample.transition
    assert isinstance(transition, Transition)
    reward = transition.next_time_step.reward.numpy()
    reward[index] = np.nan
    next_time_step = transition.next_time_step._replace(reward=tf.constant(reward))
    return sample._replace(transition=transition._replace(next_time_step=next_time_step))


@pytest.mark.parametrize("update", [0, 3])
def test_a_nan_is_reported_with_its_train_step_and_never_published(update: int) -> None:
    config = settings()
    sample = random_sample(np.random.default_rng(3), calls=2)
    poisoned = with_nan_at(sample, (UPDATES + update) * BATCH + 2)
    learn, board = learner(made(config), poisoned, config)
    assert learn.run(UPDATES) == UPDATES
    published = board.get()
    with pytest.raises(NotFiniteError, match=rf"loss is nan at train step {UPDATES + update + 1}:") as caught:
        learn.run(UPDATES)
    assert "\n" not in str(caught.value)
    assert board.get() is published
    assert all(np.isfinite(array).all() for array in published.weights.values())
    assert learn.train_steps == UPDATES


def test_weights_that_are_not_finite_are_never_published() -> None:
    """Though the metrics are: they may be of other updates, or of one process's part."""
    config = settings()
    sample = random_sample(np.random.default_rng(3), calls=2)
    updates = SynchronousUpdater(made(config), [in_turn(sample)], config)

    class Spoiled(SynchronousUpdater):
        def __call__(self, owed: int | None = None) -> UpdateResult:
            updated = updates(owed)
            return updated._replace(weights={**updated.weights, "q/bias": np.array([np.nan])})

    board = WeightsBoard()
    learn = Learner(updates, board, lambda priorities: None)
    learn.run(UPDATES)
    published = board.get()
    learn._updater = Spoiled(made(config), [in_turn(sample)], config)
    with pytest.raises(NotFiniteError, match=rf"weight q/bias is not finite after train step {2 * UPDATES}:"):
        learn.run(UPDATES)
    assert board.get() is published


def test_a_call_whose_gradients_were_all_dropped_tells_of_no_staleness() -> None:
    config = settings()
    updates = SynchronousUpdater(made(config), [in_turn(random_sample(np.random.default_rng(3)))], config)
    learn = Learner(updates, WeightsBoard(), lambda priorities: None)
    nothing = UpdateMetrics.of_columns(np.zeros((6, 0), np.float32))
    stale = UpdateResult(nothing, {}, staleness=np.zeros(0, np.int64), dropped=5)
    assert learn._take(stale) == 0
    assert learn.take_staleness() is None
    assert learn.dropped == 5


def test_the_learner_publishes_each_calls_weights_under_their_train_step() -> None:
    config = settings()
    step = made(config)
    learn, board = learner(step, random_sample(np.random.default_rng(4), calls=3), config)
    learn.publish()
    assert board.version() == 0
    seen = []
    for call in (1, 2, 3):
        learn.run(UPDATES)
        assert board.version() == learn.train_steps == int(step.train_steps) == call * UPDATES
        seen.append(board.get())
        for name, weight in step.agent.network.named_weights().items():
            np.testing.assert_array_equal(board.get().weights[name], weight)
    assert not np.array_equal(seen[0].weights["q/kernel"], seen[2].weights["q/kernel"])


def test_compiled_updates_do_not_change_what_was_published() -> None:
    config = settings("on")
    learn, board = learner(made(config), random_sample(np.random.default_rng(5), calls=2), config)
    learn.publish()
    published = board.get().weights
    copies = {name: array.copy() for name, array in published.items()}
    learn.run(UPDATES)
    learn.run(UPDATES)
    for name, array in copies.items():
        np.testing.assert_array_equal(published[name], array)


def test_a_resumed_learner_counts_on() -> None:
    config = settings()
    step = made(config)
    step.train_steps.assign(70)
    learn, board = learner(step, random_sample(np.random.default_rng(6)), config)
    learn.run(UPDATES)
    assert learn.train_steps == board.version() == 70 + UPDATES


def test_metrics_are_means_over_the_call_but_for_the_largest_q() -> None:
    config = settings()
    sample = random_sample(np.random.default_rng(7))
    other = tf.function(made(config), autograph=False)
    expected = [other(part(sample, i, BATCH)).metrics for i in range(UPDATES)]
    learn, _ = learner(made(config), sample, config)
    learn.run(UPDATES)
    assert learn.metrics is not None
    for name in ("loss", "mean_q", "mean_abs_td_error", "gradient_norm"):
        mean = np.mean([getattr(metrics, name) for metrics in expected])
        assert learn.metrics[f"learning/{name}"] == pytest.approx(mean, rel=1e-4)
    assert learn.metrics["learning/max_q"] == pytest.approx(max(float(metrics.max_q) for metrics in expected), rel=1e-5)


@pytest.mark.parametrize("has_gpu", [False, True])
def test_convolutions_and_ensembles_are_not_compiled_on_a_cpu_unless_asked(
    has_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def xla(network: object, choice: str, units: int = 1) -> bool:
        learner = LearnerSettings(xla=choice)  # type: ignore[arg-type]
        return uses_xla(Config(network=network, ensemble=Ensemble(size=units), learner=learner))  # type: ignore[arg-type]

    monkeypatch.setattr("tfdqn.learning.devices.learns_on_gpus", lambda config: has_gpu)
    assert xla(MLP(), "auto")
    assert xla(NatureCNN(), "auto") == has_gpu
    assert xla(MLP(), "auto", units=5) == has_gpu
    assert xla(NatureCNN(), "on")
    assert xla(MLP(), "on", units=5)
    assert not xla(MLP(), "off")
