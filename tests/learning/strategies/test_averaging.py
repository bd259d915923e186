"""Averaging against NumPy: replicas that update by themselves, with clipping on, and take the mean every H updates."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.learning.test_train_step import SPEC, random_batch, sample
from tests.support import update_oracle
from tests.support.batches import random_weights
from tfdqn import config
from tfdqn.cluster.tf_config import Cluster
from tfdqn.config import DQN, SGD, Adam, Config, Learner, Linear
from tfdqn.learning.strategies.averaging import AveragingUpdater
from tfdqn.learning.strategies.factory import make_updater
from tfdqn.replay.interfaces import Sample
from tfdqn.storage.arrays import with_prefix

REPLICAS, UPDATES, SHARE, CLIP_NORM, TARGET_PERIOD = 3, 6, 8, 0.5, 4
MOMENTUM, ADAM = SGD(learning_rate=0.1, momentum=0.9), Adam(learning_rate=0.05, epsilon=0.1)


class Replica:
    """One replica in float64: weights, target and the optimizer's moments."""

    def __init__(self, theta: np.ndarray, target: np.ndarray, settings: config.SGD | config.Adam):
        self.theta, self.target, self._settings = theta.astype(float), target.astype(float), settings
        self.moments = [np.zeros_like(self.theta) for _ in range(2 if isinstance(settings, Adam) else 1)]
        self._count = 0

    def update(self, batch: update_oracle.Batch) -> float:
        """One update; the gradient's norm before it was clipped."""
        gradient = update_oracle.gradient(self.theta, self.target, batch)
        g, settings = update_oracle.clipped(gradient, CLIP_NORM), self._settings
        self._count += 1
        if isinstance(settings, SGD):
            self.moments = [settings.momentum * self.moments[0] - settings.learning_rate * g]
            self.theta = self.theta + self.moments[0]
        else:
            m, v = self.moments
            m = settings.beta_1 * m + (1 - settings.beta_1) * g
            v = settings.beta_2 * v + (1 - settings.beta_2) * g**2
            corrected = np.sqrt(1 - settings.beta_2**self._count) / (1 - settings.beta_1**self._count)
            self.moments = [m, v]
            self.theta = self.theta - settings.learning_rate * corrected * m / (np.sqrt(v) + settings.epsilon)
        if self._count % TARGET_PERIOD == 0:
            self.target = self.theta
        return float(np.linalg.norm(gradient))


def averaged(replicas: list[Replica], with_moments: bool) -> None:
    theta, target = (np.mean([getattr(replica, name) for replica in replicas], axis=0) for name in ("theta", "target"))
    moments = [np.mean(each, axis=0) for each in zip(*(replica.moments for replica in replicas), strict=True)]
    for replica in replicas:
        replica.theta, replica.target = theta, target
        if with_moments:
            replica.moments = moments


def made(settings: Config, next_sample: Callable[[], Sample]) -> AveragingUpdater:
    return AveragingUpdater(settings, SPEC, ["CPU:0"] * REPLICAS, next_sample)


def joined(batches: list[update_oracle.Batch]) -> update_oracle.Batch:
    return update_oracle.Batch(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))


@pytest.mark.parametrize(
    ("optimizer", "period", "average_optimizer"),
    [  # any two values meet in a short case
        pytest.param(MOMENTUM, 1, True, id="momentum, 1, moments averaged"),
        pytest.param(MOMENTUM, 3, False, id="momentum, 3, moments kept"),
        pytest.param(ADAM, 1, False, id="adam, 1, moments kept"),
        pytest.param(ADAM, 3, True, id="adam, 3, moments averaged"),
        pytest.param(MOMENTUM, 1, False, id="momentum, 1, moments kept", marks=pytest.mark.long),
        pytest.param(MOMENTUM, 3, True, id="momentum, 3, moments averaged", marks=pytest.mark.long),
        pytest.param(ADAM, 1, True, id="adam, 1, moments averaged", marks=pytest.mark.long),
        pytest.param(ADAM, 3, False, id="adam, 3, moments kept", marks=pytest.mark.long),
    ],
)
def test_replicas_do_what_numpy_does(optimizer: Any, period: int, average_optimizer: bool) -> None:
    rng = np.random.default_rng(1)
    settings = Config(
        network=Linear(),
        optimizer=optimizer,
        agent=DQN(gradient_clip_norm=CLIP_NORM, target_update_period_train_steps=TARGET_PERIOD),
        learner=Learner(
            batch_size=REPLICAS * SHARE,
            updates_per_call=UPDATES,
            averaging_period_train_steps=period,
            average_optimizer=average_optimizer,
        ),
    )
    scales = [0.3, 3.0, 10.0]  # so that some gradients are clipped, and replicas' moments differ
    batches = [[random_batch(rng, SHARE, scale) for scale in scales] for _ in range(2 * UPDATES)]
    calls = [sample(joined([b for step in batches[i : i + UPDATES] for b in step])) for i in (0, UPDATES)]
    call = tf.Variable(-1)

    def next_sample() -> Sample:
        index = call.assign_add(1)
        return tf.nest.map_structure(lambda *parts: None if parts[0] is None else tf.stack(parts)[index], *calls)

    updates = made(settings, next_sample)
    state = updates.state()
    state |= random_weights({k: v for k, v in state.items() if k.startswith(("online", "target"))}, rng)
    updates.load_state(state)
    replicas = [Replica(state["online/theta/kernel"], state["target/theta/kernel"], optimizer) for _ in range(REPLICAS)]
    norms = []
    for call_batches in (batches[:UPDATES], batches[UPDATES:]):
        updated = updates(UPDATES)
        expected_norms = []
        for step, parts in enumerate(call_batches, start=1):
            expected_norms.append([replica.update(part) for replica, part in zip(replicas, parts, strict=True)])
            if step % period == 0:
                averaged(replicas, average_optimizer)
        norms += [norm for step in expected_norms for norm in step]
        np.testing.assert_allclose(updated.metrics.gradient_norm, np.mean(expected_norms, axis=1), rtol=1e-4)
        np.testing.assert_allclose(updated.weights["theta/kernel"], replicas[0].theta, rtol=1e-4, atol=1e-5)
    assert min(norms) < CLIP_NORM < max(norms)
    reached = updates.state()
    assert reached["train_steps"] == reached["optimizer/iterations"] == 2 * UPDATES
    np.testing.assert_allclose(reached["online/theta/kernel"], replicas[0].theta, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(reached["target/theta/kernel"], replicas[0].target, rtol=1e-4, atol=1e-5)
    slots = ["momentum"] if isinstance(optimizer, SGD) else ["m", "v"]
    for i, slot in enumerate(slots):
        expected = np.mean([replica.moments[i] for replica in replicas], axis=0)
        np.testing.assert_allclose(
            reached[f"optimizer/{slot}/theta/kernel"], expected, rtol=1e-3, atol=1e-5, err_msg=slot
        )


def test_an_optimizer_without_moments_has_none_to_average() -> None:
    settings = Config(
        network=Linear(),
        optimizer=SGD(learning_rate=0.1),
        learner=Learner(
            batch_size=REPLICAS * SHARE, updates_per_call=2, averaging_period_train_steps=1, average_optimizer=False
        ),
    )
    batch = sample(random_batch(np.random.default_rng(1), 2 * REPLICAS * SHARE))
    updates = made(settings, lambda: batch)
    updates(2)
    assert updates.state()["train_steps"] == 2


def test_each_replica_counts_its_own_observations_and_the_means_are_kept() -> None:
    updates_made, period = 6, 2
    settings = Config(
        network=Linear(normalize_observations=True),
        optimizer=SGD(learning_rate=0.01),
        learner=Learner(
            batch_size=REPLICAS * SHARE, updates_per_call=updates_made, averaging_period_train_steps=period
        ),
    )
    rng = np.random.default_rng(5)
    batches = [[random_batch(rng, SHARE) for _ in range(REPLICAS)] for _ in range(updates_made)]
    for parts in batches:
        for k, batch in enumerate(parts):
            batch.phi_tm1[:] = (1 + k) * batch.phi_tm1 + 5 * k  # so that replicas see unlike observations
    updates = made(settings, lambda: sample(joined([batch for parts in batches for batch in parts])))
    updated = updates(updates_made)
    mean, variance, count = np.zeros((REPLICAS, 3)), np.ones((REPLICAS, 3)), 0.0
    for step, parts in enumerate(batches, start=1):
        for k, batch in enumerate(parts):  # by its definition, from what the moments stand for
            new, part = batch.phi_tm1, SHARE / (count + SHARE)
            square = (1 - part) * (variance[k] + mean[k] ** 2) + part * (new**2).mean(0)
            mean[k] = (1 - part) * mean[k] + part * new.mean(0)
            variance[k] = square - mean[k] ** 2
        count += SHARE
        if step % period == 0:
            mean[:], variance[:] = mean.mean(0), variance.mean(0)
    for found in (updated.weights, with_prefix("online", updates.state())):
        np.testing.assert_allclose(found["observation_statistics/mean"], mean[0], rtol=1e-4)
        np.testing.assert_allclose(found["observation_statistics/variance"], variance[0], rtol=1e-4)
        assert found["observation_statistics/count"] == count


@pytest.mark.parametrize("jobs", [{"worker": ("a:1", "a:2", "a:3")}, {"chief": ("a:1",), "worker": ("a:2", "a:3")}])
def test_each_process_draws_the_noise_of_its_own_part_of_a_batch(jobs: dict[str, tuple[str, ...]]) -> None:
    """Also where TF_CONFIG names the chief apart, so that its index is that of the first worker."""
    settings = Config(network=Linear(), learner=Learner(strategy="averaging", workers=3, batch_size=3 * SHARE))
    source: Any = SimpleNamespace(sampler=lambda size: None)
    begins = []
    for job, addresses in jobs.items():
        for index in range(len(addresses)):
            strategy: Any = SimpleNamespace(
                num_replicas_in_sync=3,
                extended=SimpleNamespace(worker_devices=["CPU:0"]),
                cluster_resolver=SimpleNamespace(task_id=index),
            )
            cluster = Cluster(jobs=jobs, job=job, index=index)
            updater: Any = make_updater(settings, SPEC, strategy, cluster, ["CPU:0"], source)
            begins += [replica._first for replica in updater._replicas]
    assert begins == [0, SHARE, 2 * SHARE]
