"""DQN and Double DQN on the scale of h, against RLax's transformed Q-learning."""

import numpy as np
import pytest

from tests.support.golden_files import golden
from tests.support.loss_outputs import of_tables
from tfdqn.config import DQN, DoubleDQN, TDAgent

CASE, BATCH = golden("rescaling"), golden("batch")


@pytest.mark.parametrize(("settings", "name"), [(DQN, "error"), (DoubleDQN, "double_error")])
def test_td_errors_are_rlaxs(settings: type[TDAgent], name: str) -> None:
    poison = np.full_like(CASE["q_t"], 1e4)
    select_t = CASE["q_select_t"] if settings is DoubleDQN else poison
    online, target = np.concatenate([CASE["q_tm1"], select_t]), np.concatenate([poison, CASE["q_t"]])
    found = of_tables(settings(value_rescaling=1e-3), online, target, BATCH, None)
    np.testing.assert_allclose(found.td_error, CASE[name], atol=1e-5)
