"""A rollout's batches: every row's λ-return by brute force, with terminations, truncations and resets; each row once
an epoch."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.random_rollouts import BATCH, ENVS, EPOCHS, SPEC, STEPS, Acted, config
from tfdqn.replay.rollout import Rollout


def slow_return(acted: Acted, t: int, e: int, discount: float, lambda_: float, scale: float) -> float:
    """By recursion on what comes after, in units of the reward."""
    reward, value = float(acted.reward[t, e]), float(acted.values[t + 1, e]) / scale
    if acted.terminated[t, e]:
        return reward
    if acted.truncated[t, e] or t + 1 == STEPS or acted.is_reset[t + 1, e]:
        return reward + discount * value
    ahead = slow_return(acted, t + 1, e, discount, lambda_, scale)
    return reward + discount * ((1 - lambda_) * value + lambda_ * ahead)


def sampled(rollout: Rollout, part: int = 0, parts: int = 1) -> Any:
    """The batches as a graph sees them, leading axes [K, B / parts]."""
    updates = EPOCHS * STEPS * ENVS // BATCH
    rollout.part = part
    sample = tf.function(rollout.sampler(updates * BATCH // parts))()
    return sample.map(lambda x: x.numpy().reshape(updates, BATCH // parts, *x.shape[1:]))


def arrays(sample: Any) -> list[np.ndarray]:
    """All that there are in it."""
    return [array for array in tf.nest.flatten(sample) if array is not None]


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
            expected = slow_return(acted, t, e, 0.9, lambda_, scale)
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
    for ours, *theirs in zip(*(arrays(each) for each in (whole, *parts)), strict=True):
        np.testing.assert_array_equal(ours, np.concatenate(theirs, axis=1))


def test_what_another_process_has_loaded_it_samples_alike() -> None:
    ours, theirs, acted = Rollout(config(), SPEC), Rollout(config(), SPEC), Acted(3)
    acted.write(ours)
    ours.finish(acted.values[-1], train_steps=1)
    theirs.load({name: array.copy() for name, array in ours.batches.items()})
    for one, other in zip(arrays(sampled(ours)), arrays(sampled(theirs)), strict=True):
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
    for one, other in zip(arrays(sampled(whole)), arrays(sampled(resumed)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("steps", [0, 5])
def test_the_network_of_the_last_whole_rollout_is_kept_in_the_midst_of_the_next(steps: int) -> None:
    whole, resumed, acted = Rollout(config(), SPEC), Rollout(config(), SPEC), Acted(6)
    acted.write(whole)
    whole.finish(acted.values[-1], train_steps=45)
    whole.clear()
    acted.write(whole, range(steps))
    state = {name: array.copy() for name, array in whole.state().items()}
    resumed.load_state(state)
    assert resumed.state().keys() == state.keys()
    for name, array in resumed.state().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


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
