"""An ensemble trained as one network is its members trained apart, each on its own weighting of the same batches."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import random_transitions, random_weights, vector_spec
from tests.support.parity import OPTIMIZERS
from tfdqn.agents.dqn import DqnAgent
from tfdqn.agents.ensemble_masks import member_weights
from tfdqn.agents.factory import make_agent
from tfdqn.config import MLP, Config, DoubleDQN, Ensemble
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.learning.learner import Learner
from tfdqn.learning.train_step import TrainStep, UpdateMetrics
from tfdqn.learning.updater import UpdateResult
from tfdqn.replay.interfaces import Sample

SPEC = vector_spec()
MEMBERS, BATCH, STEPS = 3, 24, 20


def settings(optimizer: str = "adam", **ensemble: Any) -> Config:
    return Config(
        network=MLP(hidden_units=(16, 8)),
        optimizer=OPTIMIZERS[optimizer],
        agent=DoubleDQN(gradient_clip_norm=0.5, target_update_period_train_steps=3, target_update_tau=0.3),
        ensemble=Ensemble(**{"size": MEMBERS, "partition_edges": (-0.5, 0.5), **ensemble}),
    )


def random_sample(rng: np.random.Generator) -> Sample:
    transition = random_transitions(SPEC, BATCH, rng)
    return Sample(transition, tf.constant(rng.random(BATCH) ** 3, tf.float32))


def random_start(step: TrainStep) -> dict[str, np.ndarray]:
    """A state whose online and target weights are random and differ."""
    state = step.state()
    weights = {name: array for name, array in state.items() if name.startswith(("online/", "target/"))}
    return state | random_weights(weights, np.random.default_rng(2))


@pytest.mark.parametrize(
    ("optimizer", "data", "compiled"),
    [
        *[("adam", data, False) for data in ("all", "hash", "partition")],
        *[(optimizer, "bootstrap", False) for optimizer in OPTIMIZERS],
        ("adam", "bootstrap", True),
    ],
)
def test_members_trained_as_one_are_members_trained_apart(optimizer: str, data: str, compiled: bool) -> None:
    config = settings(optimizer, data=data)
    together = TrainStep(make_agent(config, SPEC), config)
    start = random_start(together)
    together.load_state(start)
    apart = [TrainStep(DqnAgent(config, SPEC), config) for _ in range(MEMBERS)]
    for k, step in enumerate(apart):
        step.load_state({name: array[k] if array.ndim else array for name, array in start.items()})
    calls = [tf.function(step, autograph=False, jit_compile=compiled) for step in (together, *apart)]
    shares_of = member_weights(config, SPEC)
    rng, norms = np.random.default_rng(3), []
    for _ in range(STEPS):
        sample = random_sample(rng)
        calls[0](sample)
        states = (sample.transition.time_step.observation, sample.transition.next_time_step.observation)
        shares = shares_of(sample.transition, *states)
        for k, call in enumerate(calls[1:]):
            norms.append(call(sample._replace(weights=sample.weights * shares[k])).metrics.gradient_norm)
    assert min(norms) < 0.5 < max(norms)  # so that clipping had something to do, and not always
    reached = together.state()
    for k, step in enumerate(apart):
        for name, array in step.state().items():
            ours = reached[name][k] if array.ndim else reached[name]
            np.testing.assert_allclose(ours, array, atol=1e-5, err_msg=f"member {k}: {name}")
            assert not name.startswith("online/") or not np.allclose(array, start[name][k], atol=1e-2), name


@pytest.mark.parametrize("target", ["own", "aggregate"])
@pytest.mark.parametrize("data", ["all", "bootstrap", "hash", "partition"])
def test_the_gradients_of_a_batchs_parts_add_up_to_its_own(data: str, target: str) -> None:
    """As replicas share a batch: a member may have many examples in one part and none in another."""
    config = settings(data=data, target=target)
    step = TrainStep(make_agent(config, SPEC), config)
    step.load_state(random_start(step))
    sample = random_sample(np.random.default_rng(4))
    whole, _ = step.gradients(sample)
    totals = [np.zeros(each.shape) for each in whole]
    for part in range(4):
        rows = slice(part * BATCH // 4, (part + 1) * BATCH // 4)
        gradients, _ = step.gradients(sample.map(lambda x, rows=rows: x[rows]), share=1 / 4)
        totals = [total + gradient for total, gradient in zip(totals, gradients, strict=True)]
    for one, other in zip(whole, totals, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_every_array_of_a_checkpoint_leads_with_the_members() -> None:
    config = settings()
    ensemble, alone = TrainStep(make_agent(config, SPEC), config), TrainStep(DqnAgent(config, SPEC), config)
    ours, theirs = ensemble.state(), alone.state()
    assert list(ours) == list(theirs)
    for name, array in theirs.items():
        counts = name in ("train_steps", "optimizer/iterations")
        assert ours[name].shape == (array.shape if counts else (MEMBERS, *array.shape)), name


def test_the_metrics_are_the_means_over_the_members_as_those_of_members_in_processes() -> None:
    config = settings(data="all")
    together = TrainStep(make_agent(config, SPEC), config)
    start, sample = random_start(together), random_sample(np.random.default_rng(7))
    together.load_state(start)
    apart = [TrainStep(DqnAgent(config, SPEC), config) for _ in range(MEMBERS)]
    for k, step in enumerate(apart):
        step.load_state({name: array[k] if array.ndim else array for name, array in start.items()})
    found, theirs = together(sample).metrics, [step(sample).metrics for step in apart]
    for name in ("loss", "mean_q", "mean_abs_td_error", "gradient_norm"):
        expected = np.mean([getattr(each, name) for each in theirs])
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-5, err_msg=name)


def test_disagreement_is_the_mean_deviation_of_the_members_values() -> None:
    config = settings(data="bootstrap")
    step = TrainStep(make_agent(config, SPEC), config)
    step.load_state(random_start(step))
    sample = random_sample(np.random.default_rng(5))
    q = step.agent.network(sample.transition.time_step.observation)[0].numpy()
    taken = q[:, np.arange(BATCH), sample.transition.action_step.action]
    np.testing.assert_allclose(step(sample).metrics.disagreement, taken.std(axis=0).mean(), rtol=1e-5)


def test_a_plain_network_disagrees_with_nobody() -> None:
    config = settings(size=1)
    step = TrainStep(make_agent(config, SPEC), config)
    assert np.isnan(step(random_sample(np.random.default_rng(6))).metrics.disagreement)


@pytest.mark.parametrize(("each", "told"), [(0.0, 0.0), (0.25, 0.25), (np.nan, None)])
def test_the_learner_tells_of_a_disagreement_of_zero_and_of_none_where_there_is_none(
    each: float, told: float | None
) -> None:
    class TwoUpdates:
        def __call__(self, most: int) -> UpdateResult:
            of_two = [np.full(2, each if name == "disagreement" else 1.0) for name in UpdateMetrics._fields[:-1]]
            return UpdateResult(UpdateMetrics(*of_two), {"theta/kernel": np.ones(3, np.float32)})

        def state(self) -> dict[str, np.ndarray]:
            return {"train_steps": np.array(0)}

    learner = Learner(TwoUpdates(), WeightsBoard(), lambda priorities: None)  # type: ignore[arg-type]
    assert learner.run(2) == 2
    assert learner.metrics is not None and learner.metrics.get("learning/disagreement") == told
