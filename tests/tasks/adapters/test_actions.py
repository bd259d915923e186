"""What actions are called: the task's own names, and the user's, one for each."""

import gymnasium
import pytest

from tests.support.toy_environments import Chain
from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.registry import resolve_spec


class Named(Chain):
    """As Atari's tasks tell what their actions mean."""

    meanings = ("LEFT", "RIGHT")

    def get_action_meanings(self) -> list[str]:
        return list(self.meanings)


@pytest.fixture(autouse=True)
def registered():
    gymnasium.register("Named-v0", Named)
    yield
    del gymnasium.registry["Named-v0"]


def test_a_tasks_own_names_are_in_its_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_spec(Task(id="Named-v0", frame_stack=2)).action_names == (("LEFT", "RIGHT"),)
    assert resolve_spec(Task(id="CartPole-v1")).action_names == ()
    monkeypatch.setattr(Named, "meanings", ("LEFT", "STAY", "RIGHT"))  # of others than it takes
    assert resolve_spec(Task(id="Named-v0")).action_names == ()
    monkeypatch.setattr(Named, "get_action_meanings", lambda self, language: self.meanings)  # not as Atari's
    assert resolve_spec(Task(id="Named-v0")).action_names == ()
    monkeypatch.setattr(Named, "get_action_meanings", lambda self: None)
    assert resolve_spec(Task(id="Named-v0")).action_names == ()


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (
            ("left",),
            "CartPole-v1: task.action_names must have one name for each action: it has 1, and the task 2; "
            "task.action_names=[] leaves them out",
        ),
        (("push", "push"), "CartPole-v1: task.action_names has push more than once"),
    ],
)
def test_the_users_names_are_one_for_each_action(names: tuple[str, ...], problem: str) -> None:
    with pytest.raises(TaskError) as caught:
        resolve_spec(Task(id="CartPole-v1", action_names=names))
    assert str(caught.value) == problem
    assert resolve_spec(Task(id="CartPole-v1", action_names=("left", "right"))).action_names == ()
