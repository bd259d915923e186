"""A rollout's batches: every row's λ-return by brute force, with terminations, truncations and resets; each row once
an epoch."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import vector_spec
from tfdqn.config import PQN, Config, Learner, Task
from tfdqn.replay.rollout import Rollout
from tfdqn.types import Step

STEPS, ENVS, EPOCHS, BATCH = 12, 10, 3, 24


def config(**agent: Any) -> Config:
    return Config(
        seed=3,
        task=Task(num_envs=ENVS),
        agent=PQN(rollout_steps=STEPS, epochs=EPOCHS, **agent),
        learner=Learner(batch_size=BATCH, schedule="alternate"),
    )


SPEC = vector_spec(num_actions=4, action_masks=True)


class Acted:
    """What happened in a rollout at random, an episode's end followed by a row that carries its reset."""

    def __init__(self, seed: int):
        rng, shape = np.random.default_rng(seed), (STEPS, ENVS)
        self.observation = rng.normal(size=(STEPS + 1, ENVS, *SPEC.observation["observation"].shape)).astype(np.float32)
        self.legal = rng.random((STEPS + 1, ENVS, 4)) < 0.5
        self.action = rng.integers(4, size=shape).astype(np.int32)
        self.reward = rng.normal(size=shape).astype(np.float32)
        self.values = rng.normal(size=(STEPS + 1, ENVS)).astype(np.float32) * 10
        self.is_reset = np.zeros(shape, bool)
        self.terminated, self.truncated = np.zeros((2, *shape), bool)
        done = rng.random(ENVS) < 0.2  # the step before the rollout's first
        for t in range(STEPS):
            self.is_reset[t] = done | (rng.random(ENVS) < 0.05)  # an environment that broke is reset at any time
            ends, how = ~self.is_reset[t] & (rng.random(ENVS) < 0.2), rng.random(ENVS) < 0.5
            self.terminated[t], self.truncated[t] = ends & how, ends & ~how
            done = ends

    def write(self, rollout: Rollout, steps: range = range(STEPS)) -> int:
        """How many transitions it was told of."""
        written = 0
        for t in steps:
            rollout.add_values(self.values[t])
            after = {"observation": self.observation[t + 1]}
            step = Step(
                after, self.reward[t], self.terminated[t], self.truncated[t], self.is_reset[t], self.legal[t + 1]
            )
            written += rollout.write({"observation": self.observation[t]}, self.legal[t], self.action[t], step)
        return written

    def slow_return(self, t: int, e: int, discount: float, lambda_: float, scale: float) -> float:
        """By recursion on what comes after, in units of the reward."""
        reward, value = float(self.reward[t, e]), float(self.values[t + 1, e]) / scale
        if self.terminated[t, e]:
            return reward
        if self.truncated[t, e] or t + 1 == STEPS or self.is_reset[t + 1, e]:
            return reward + discount * value
        ahead = self.slow_return(t + 1, e, discount, lambda_, scale)
        return reward + discount * ((1 - lambda_) * value + lambda_ * ahead)


def sampled(rollout: Rollout, part: int = 0, parts: int = 1) -> Any:
    """The batches as a graph sees them, leading axes [K, B / parts]."""
    updates = EPOCHS * STEPS * ENVS // BATCH
    sample = tf.function(rollout.sampler(updates * BATCH // parts, part))()
    return sample.map(lambda x: x.numpy().reshape(updates, BATCH // parts, *x.shape[1:]))


@pytest.mark.parametrize(("seed", "lambda_", "scale"), [(1, 0.65, 1.0), (2, 0.0, 0.1), (3, 1.0, 2.0), (4, 0.9, 0.5)])
def test_each_row_has_its_return_and_resets_have_no_weight(seed: int, lambda_: float, scale: float) -> None:
    rollout, acted = Rollout(config(lambda_=lambda_, discount=0.9, reward_scale=scale), SPEC), Acted(seed)
    assert acted.write(rollout) == np.count_nonzero(~acted.is_reset)
    assert rollout.is_whole
    rollout.finish(acted.values[-1], train_steps=7)
    sample = sampled(rollout)
    observation, legal = sample.transition.time_step.observation
    flat = acted.observation[:-1].reshape(STEPS * ENVS, -1)
    seen = np.zeros(STEPS * ENVS, int)
    transitions = np.count_nonzero(~acted.is_reset)
    assert 0 < transitions < STEPS * ENVS
    for k, b in np.ndindex(sample.weights.shape):
        (row,) = np.flatnonzero((flat == observation["observation"][k, b].ravel()).all(axis=1))
        seen[row] += 1
        t, e = divmod(row, ENVS)
        np.testing.assert_array_equal(legal[k, b], acted.legal[t, e])
        assert sample.transition.action_step.action[k, b] == acted.action[t, e]
        weight = 0 if acted.is_reset[t, e] else STEPS * ENVS / transitions
        assert sample.weights[k, b] == pytest.approx(weight, rel=1e-6)
        if weight:
            expected = acted.slow_return(t, e, 0.9, lambda_, scale)
            assert sample.transition.next_time_step.reward[k, b] == pytest.approx(expected, rel=1e-5, abs=1e-5)
    np.testing.assert_array_equal(seen, EPOCHS)


def test_every_epoch_has_every_row_once_in_an_order_of_its_own() -> None:
    rollout, acted = Rollout(config(), SPEC), Acted(1)
    acted.write(rollout)
    rollout.finish(acted.values[-1], train_steps=0)
    order = rollout.batches["order"].reshape(EPOCHS, -1)
    np.testing.assert_array_equal(np.sort(order), np.tile(np.arange(STEPS * ENVS), (EPOCHS, 1)))
    assert all((order[i] != order[j]).mean() > 0.9 for i in range(EPOCHS) for j in range(i))
    rollout.finish(acted.values[-1], train_steps=15)
    assert (rollout.batches["order"].reshape(EPOCHS, -1) != order).mean() > 0.9
    rollout.finish(acted.values[-1], train_steps=0)
    np.testing.assert_array_equal(rollout.batches["order"].reshape(EPOCHS, -1), order)


def test_the_parts_of_its_batches_are_the_whole() -> None:
    rollout, acted = Rollout(config(), SPEC), Acted(2)
    acted.write(rollout)
    rollout.finish(acted.values[-1], train_steps=1)
    whole, parts = sampled(rollout), [sampled(rollout, part, parts=3) for part in range(3)]
    for ours, *theirs in zip(*(tf.nest.flatten(each) for each in (whole, *parts)), strict=True):
        np.testing.assert_array_equal(ours, np.concatenate(theirs, axis=1))


def test_what_another_process_has_loaded_it_samples_alike() -> None:
    ours, theirs, acted = Rollout(config(), SPEC), Rollout(config(), SPEC), Acted(3)
    acted.write(ours)
    ours.finish(acted.values[-1], train_steps=1)
    theirs.load({name: array.copy() for name, array in ours.batches.items()})
    for one, other in zip(tf.nest.flatten(sampled(ours)), tf.nest.flatten(sampled(theirs)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("steps", [5, STEPS])
def test_a_rollout_goes_on_where_its_state_was_taken(steps: int) -> None:
    whole, resumed, acted = Rollout(config(), SPEC), Rollout(config(), SPEC), Acted(4)
    acted.write(whole, range(steps))
    if steps == STEPS:
        whole.finish(acted.values[-1], train_steps=45)
    state = {name: array.copy() for name, array in whole.state().items()}
    if steps < STEPS:
        acted.write(whole, range(steps, STEPS))
        whole.finish(acted.values[-1], train_steps=45)
    resumed.load_state(state)
    assert resumed.size() == steps * ENVS
    if steps < STEPS:
        acted.write(resumed, range(steps, STEPS))
        resumed.finish(acted.values[-1], train_steps=45)
    for name, array in whole.batches.items():
        np.testing.assert_array_equal(resumed.batches[name], array, err_msg=name)
    for one, other in zip(tf.nest.flatten(sampled(whole)), tf.nest.flatten(sampled(resumed)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cleared_rollout_begins_anew() -> None:
    rollout, acted = Rollout(config(), SPEC), Acted(5)
    acted.write(rollout)
    rollout.finish(acted.values[-1], train_steps=0)
    rollout.clear()
    assert (rollout.is_whole, rollout.size()) == (False, 0)
    another = Acted(6)
    another.write(rollout)
    rollout.finish(another.values[-1], train_steps=0)
    np.testing.assert_array_equal(
        rollout.batches["observation/observation"], another.observation[:-1].reshape(STEPS * ENVS, -1)
    )
