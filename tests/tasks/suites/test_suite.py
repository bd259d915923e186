"""What a task's spaces become, whatever its suite."""

import pytest
from gymnasium import spaces

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.suites.suite import describe


def test_a_part_with_the_name_of_the_masks_is_refused_only_where_there_are_masks() -> None:
    observation, actions = spaces.Dict({"legal_actions": spaces.MultiBinary(3)}), spaces.Discrete(3)
    spec = describe(Task(id="Named-v0"), observation, actions, max_episode_steps=None)
    assert list(spec.observation) == ["legal_actions"]
    with pytest.raises(TaskError, match=r'^Named-v0: observation "legal_actions" has the name of an input'):
        describe(Task(id="Named-v0", action_masks=True), observation, actions, max_episode_steps=None)
