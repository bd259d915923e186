"""Temporal differences, Double Q-learning and n-step returns against RLax."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.batches import vector_spec
from tests.support.golden_files import golden
from tfdqn.agents.losses import td
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.horizon import Horizon
from tfdqn.replay.n_step_writer import NStepWriter
from tfdqn.types import Experience, Step

GOLDEN, BATCH = golden("temporal_differences"), golden("batch")
NO_MASK = np.ones_like(BATCH["legal_t"])


@pytest.mark.parametrize(
    ("name", "q_t", "q_select_t", "legal"),
    [
        ("error", "q_t", "q_t", None),
        ("legal_error", "q_t", "q_t", "legal_t"),
        ("double_error", "q_t_of_best", "q_select_t", None),
        ("legal_double_error", "q_t_of_legal", "q_select_t", "legal_t"),
    ],
)
def test_td_errors_are_rlaxs(name: str, q_t: str, q_select_t: str, legal: str | None) -> None:
    of_target = tf.constant(GOLDEN[q_t])
    select = of_target if q_t == q_select_t else tf.constant(GOLDEN[q_select_t])
    value = td.greedy_value(of_target, select, None if legal is None else tf.constant(BATCH[legal]))
    predicted = td.value_of_action(tf.constant(GOLDEN["q_tm1"]), tf.constant(BATCH["action_tm1"]))
    np.testing.assert_allclose(BATCH["r_t"] + BATCH["discount_t"] * value - predicted, GOLDEN[name], atol=1e-5)


def test_losses_are_rlaxs() -> None:
    error = tf.constant(GOLDEN["error"], tf.float32)
    np.testing.assert_allclose(td.squared_loss(error), GOLDEN["squared"], rtol=1e-5)
    np.testing.assert_allclose(td.huber_loss(error, 1.0), GOLDEN["huber_1"], rtol=1e-5)
    np.testing.assert_allclose(td.huber_loss(error, 0.5), GOLDEN["huber_half"], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_n_step_returns_are_rlaxs(n: int) -> None:
    """Of one sequence with terminations inside, which is truncated at its end."""
    case = golden("returns")
    codec, rows = TransitionCodec(vector_spec(1, 2)), []
    writer = NStepWriter(codec, 1, Horizon(n, 0.9), lambda each: rows.append(each.copy()))
    end, zero = len(case["r_t"]), np.zeros(1, bool)
    for t in range(end):
        step = Step(
            observation={"observation": np.full((1, 1), t + 1, np.float32)},
            reward=case["r_t"][t : t + 1],
            terminated=case["discount_t"][t : t + 1] == 0,
            truncated=zero | (t == end - 1),
            is_reset=zero,
            legal_actions=None,
        )
        before = {"observation": np.full((1, 1), t, np.float32)}
        writer.write(Experience(before, None, np.zeros(1, np.int32), step))
    written = codec.from_bytes(np.concatenate(rows))
    begun = written["observation/observation"][:, 0].astype(int)
    assert sorted(begun) == list(range(end))
    reached = written["next_observation/observation"][:, 0].astype(int)
    found = written["reward"] + written["discount"] * case["v_t"][reached - 1]
    np.testing.assert_allclose(found[np.argsort(begun)], case[f"n_step_{n}"], atol=1e-5)
