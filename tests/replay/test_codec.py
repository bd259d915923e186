"""A row of bytes decodes, in a graph, to exactly what was written into it."""

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from tests.support.random_episodes import BRANCHING, MIXED, VECTOR
from tfdqn.replay.codec import TransitionCodec
from tfdqn.task_spec import TaskSpec


def filled_rows(codec: TransitionCodec, count: int) -> np.ndarray:
    rows = codec.empty(count)
    rng = np.random.default_rng(3)
    for name in rows.dtype.names:
        rows[name] = rng.integers(0, 2 if rows[name].dtype == bool else 100, rows[name].shape)
    return rows


@pytest.mark.parametrize("spec", [VECTOR, MIXED, BRANCHING], ids=lambda spec: spec.id)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_every_field_survives_the_way_through_bytes(spec: TaskSpec, jit_compile: bool) -> None:
    codec = TransitionCodec(spec)
    rows = filled_rows(codec, 7)
    fields = tf.function(codec.fields, jit_compile=jit_compile)(tf.constant(codec.to_bytes(rows)))
    assert set(fields) == set(rows.dtype.names)
    for name, values in fields.items():
        assert values.dtype.as_numpy_dtype == rows[name].dtype
        np.testing.assert_array_equal(values.numpy(), rows[name])


def test_rows_of_unknown_number_are_decoded() -> None:
    codec = TransitionCodec(MIXED)
    signature = [tf.TensorSpec((None, codec.row_bytes), tf.uint8)]
    fields = tf.function(codec.fields, input_signature=signature)
    for count in (1, 5):
        rows = filled_rows(codec, count)
        np.testing.assert_array_equal(fields(codec.to_bytes(rows))["observation/speed"], rows["observation/speed"])


def test_a_row_of_cartpole_takes_44_bytes() -> None:
    assert TransitionCodec(VECTOR).row_bytes == 4 * (4 + 4 + 3)


def test_every_number_is_aligned() -> None:
    fields = TransitionCodec(MIXED).dtype.fields
    assert fields is not None
    assert all(offset % dtype.base.itemsize == 0 for dtype, offset, *_ in fields.values())


def test_bytes_are_the_same_memory() -> None:
    codec = TransitionCodec(VECTOR)
    rows = codec.empty(2)
    as_bytes = codec.to_bytes(rows)
    rows["reward"] = 1.0
    assert codec.from_bytes(as_bytes)["reward"].tolist() == [1.0, 1.0]
    assert np.shares_memory(rows, as_bytes)


def test_a_transition_carries_the_finished_reward_and_discount() -> None:
    codec = TransitionCodec(VECTOR)
    rows = filled_rows(codec, 3)
    transition = codec.decode(tf.constant(codec.to_bytes(rows)))
    np.testing.assert_array_equal(transition.next_time_step.reward, rows["reward"])
    np.testing.assert_array_equal(transition.next_time_step.discount, rows["discount"])
    np.testing.assert_array_equal(transition.action_step.action, rows["action"])
    np.testing.assert_array_equal(
        transition.next_time_step.observation["observation"], rows["next_observation/observation"]
    )
    assert not tf.reduce_any(transition.time_step.is_first() | transition.next_time_step.is_last())


def test_masks_come_beside_the_observation_at_both_ends() -> None:
    codec = TransitionCodec(MIXED)
    rows = filled_rows(codec, 3)
    transition = codec.decode(tf.constant(codec.to_bytes(rows)))
    observation, legal_actions = transition.time_step.observation
    _, next_legal_actions = transition.next_time_step.observation
    assert set(observation) == set(MIXED.observation)
    assert legal_actions.dtype == tf.bool
    np.testing.assert_array_equal(legal_actions, rows["legal_actions"])
    np.testing.assert_array_equal(next_legal_actions, rows["next_legal_actions"])


def test_masks_of_branching_actions_are_as_wide_as_the_widest() -> None:
    masked = TransitionCodec(msgspec.structs.replace(BRANCHING, action_masks=True)).dtype
    assert masked["legal_actions"].shape == masked["next_legal_actions"].shape == (2, 4)
    assert TransitionCodec(MIXED).dtype["legal_actions"].shape == (5,)


def test_actions_of_several_dimensions_keep_them() -> None:
    assert TransitionCodec(BRANCHING).dtype["action"].shape == (2,)
    assert TransitionCodec(VECTOR).dtype["action"].shape == ()
