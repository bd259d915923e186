"""What a policy's inputs are checked by: each whole number by its own bounds, however many there are."""

import numpy as np
import pytest
from gymnasium import spaces

from tfdqn.errors import UserError
from tfdqn.exporting.policy_inputs import PolicyInputs
from tfdqn.task_spec import TaskSpec, discrete
from tfdqn.tasks.observations import observation_specs

LOW = np.arange(66).reshape(2, 33)


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_each_of_many_whole_numbers_is_checked_by_its_own_bounds(dtype: type, frames: int) -> None:
    space = spaces.Box(LOW, LOW + 5, dtype=dtype)
    spec = TaskSpec(id="Own-v0", observation=observation_specs(space, frames), actions=discrete(2))
    inputs, shape = PolicyInputs(spec), spec.observation["observation"].shape
    batch = np.broadcast_to(LOW + 5, (3, *shape)).astype(spec.observation["observation"].dtype)
    inputs.check({"observation": batch})
    inputs.check(inputs.example(3))
    batch[2, ..., 1, 32] = 3  # which only elements before it may be
    batch[1, ..., 0, 7] = 13
    place = "[1][0][7]" if frames == 1 else "[1][0][0][7]"
    with pytest.raises(UserError) as refused:
        inputs.check({"observation": batch})
    assert str(refused.value) == f"observation{place}: 13; the task has 7 to 12"
