"""An evaluation on a changed task: refused in one readable line where the policy can't read it."""

import msgspec
import pytest

from tfdqn.errors import TaskError
from tfdqn.evaluation_command import _check_same_shape
from tfdqn.task_spec import ArraySpec, TaskSpec

TRAINED = TaskSpec(
    id="Lake-v1",
    observation={
        "place": ArraySpec(shape=(), dtype="int32", categories=16),
        "speed": ArraySpec(shape=(2,), dtype="float32"),
    },
    num_actions=(4,),
    action_start=(0,),
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"place": ArraySpec(shape=(), dtype="int32", categories=64)},
            'observation "place" is int32[] of 0 to 63, not int32[] of 0 to 15',
        ),
        (
            {"speed": ArraySpec(shape=(3,), dtype="float32")},
            'observation "speed" is float32[3], not float32[2]',
        ),
        ({"height": ArraySpec(shape=(), dtype="float32")}, 'observation "height" is float32[], not absent'),
    ],
)
def test_another_observation_is_named_alone(change: dict[str, ArraySpec], said: str) -> None:
    now = msgspec.structs.replace(TRAINED, observation=TRAINED.observation | change)
    with pytest.raises(TaskError) as caught:
        _check_same_shape(TRAINED, now)
    assert str(caught.value) == f"Lake-v1 isn't what the policy was trained on: {said}"


def test_other_actions_are_named() -> None:
    now = msgspec.structs.replace(TRAINED, num_actions=(2, 3), action_masks=True)
    with pytest.raises(TaskError) as caught:
        _check_same_shape(TRAINED, now)
    assert str(caught.value) == (
        "Lake-v1 isn't what the policy was trained on: the number of actions is 2 × 3, not 4; "
        "task.action_masks is true, not false"
    )


def test_what_a_policy_does_not_see_may_change() -> None:
    _check_same_shape(TRAINED, msgspec.structs.replace(TRAINED, max_episode_steps=7, action_start=(1,)))
