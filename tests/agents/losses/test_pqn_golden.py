"""λ-returns and Q(λ)'s errors against RLax: one sequence, with terminations inside, that is cut off at its end."""

import numpy as np
import pytest

from tests.support.golden_files import golden
from tfdqn.agents.losses.pqn import lambda_returns

CASE = golden("returns")


@pytest.mark.parametrize("lambda_", [0.0, 0.65, 1.0])
def test_lambda_returns_are_rlaxs(lambda_: float) -> None:
    r_t, discount_t, v_t = CASE["r_t"], CASE["discount_t"], CASE["v_t"]
    found = lambda_returns(r_t, discount_t, v_t, np.full(len(r_t), lambda_))
    np.testing.assert_allclose(found, CASE[f"lambda_{lambda_:g}"], atol=1e-5)


def test_errors_of_q_lambda_are_rlaxs() -> None:
    r_t, v_t = CASE["r_t"], CASE["q_t"].max(axis=1)
    returns = lambda_returns(r_t, CASE["discount_t"], v_t, np.full(len(r_t), 0.65))
    predicted = CASE["q_tm1"][np.arange(len(r_t)), CASE["action_tm1"]]
    np.testing.assert_allclose(returns - predicted, CASE["q_lambda_error"], atol=1e-5)
