"""The suite `envpool`: what is found by an id, and what is wrong with it, in one line."""

import importlib.util

import pytest

from tfdqn.config import Task
from tfdqn.errors import PackageMissingError, TaskError
from tfdqn.tasks.registry import check_task, installed_tasks, make_task, resolve_spec
from tfdqn.tasks.suites import envpool_envs


def error_of(call, **keys):
    with pytest.raises(TaskError) as caught:
        call(Task(suite="envpool", **keys))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_package_is_one_line_with_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PackageMissingError, match=r"CartPole-v1 needs .*pip install .*envpool"):
        check_task(Task(id="CartPole-v1", suite="envpool"))
    assert not [each for each in installed_tasks() if each.suite == "envpool"]


def test_a_misspelt_id_is_compared_without_the_module_before_it(monkeypatch):
    monkeypatch.setattr(envpool_envs, "is_installed", lambda: True)
    monkeypatch.setattr(envpool_envs, "ids", lambda: ["Toy-v0", "Pong-v5"])
    misspelt = "tests.support.toy_environments:pogn-V5"
    assert error_of(check_task, id=misspelt) == f'EnvPool has no task "{misspelt}"; the nearest is Pong-v5'


@pytest.mark.tasks
class TestWithEnvPool:
    def test_an_id_that_does_not_exist_is_answered_with_the_nearest(self):
        assert error_of(check_task, id="CartPol-v1").startswith(
            'EnvPool has no task "CartPol-v1"; the nearest are CartPole-v1,'
        )
        assert "tfdqn tasks" in error_of(check_task, id="?")

    def test_an_id_that_only_gymnasium_has_is_answered_with_its_suite(self):
        for task_id in "MinAtar/Breakout-v1", "tfdqn/Battery-v0":
            assert error_of(check_task, id=task_id) == (
                f'EnvPool has no task "{task_id}"; gymnasium has it: leave out task.suite = "envpool"'
            )

    @pytest.mark.parametrize(
        ("keys", "line"),
        [
            ({"kwargs": {"lanes": 3}}, "task.kwargs: CartPole-v1 takes no lanes; it takes num_threads, "),
            ({"kwargs": {"seed": 3}}, "task.kwargs: CartPole-v1 takes no seed; it takes num_threads, "),
            ({"kwargs": {"num_envs": 3}}, "task.kwargs.num_envs: set task.num_envs instead"),
            ({"id": "Pong-v5", "kwargs": {"stack_num": 3}}, "task.kwargs.stack_num: set task.frame_stack instead"),
            ({"frame_stack": 2}, "CartPole-v1: task.frame_stack = 2: EnvPool only stacks games' grey frames"),
            (
                {"kwargs": {"num_threads": "x"}},
                'CartPole-v1 could not be made: task.kwargs.num_threads = "x", but its default, 0, is a whole number',
            ),
            (
                {"id": "Pong-v5", "kwargs": {"img_height": 2.5}},
                "Pong-v5 could not be made: task.kwargs.img_height = 2.5, but its default, 84, is a whole number",
            ),
            ({"id": "FishSwim-v1"}, "FishSwim-v1: EnvPool 1.2.5 can't derive this task's observation space"),
            ({"id": "Go9x9-v1"}, "Go9x9-v1 has 2 players; only tasks with one player can be learned"),
        ],
    )
    def test_what_is_wrong_with_a_task_is_one_line(self, keys, line):
        assert error_of(check_task, **{"id": "CartPole-v1", **keys}).startswith(line)

    def test_environments_in_processes_are_refused(self):
        assert error_of(make_task, id="CartPole-v1", vectorization="async") == (
            'CartPole-v1: EnvPool has threads for its environments, not processes: set "own"'
        )

    def test_what_it_cannot_draw_is_one_line(self):
        with pytest.raises(TaskError, match=r"EnvPool can't render FrozenLake-v1 here: .*not implemented"):
            make_task(Task(id="FrozenLake-v1", suite="envpool"), render_mode="rgb_array")

    def test_an_id_that_gymnasium_has_too_is_its_own_unless_the_suite_is_named(self):
        own, theirs = resolve_spec(Task(id="CartPole-v1")), resolve_spec(Task(id="CartPole-v1", suite="envpool"))
        assert own.observation["observation"].shape == theirs.observation["observation"].shape
        assert not make_task(Task(id="CartPole-v1", vectorization="sync")).is_own_vector_version
        assert make_task(Task(id="CartPole-v1", suite="envpool")).is_own_vector_version

    def test_its_tasks_are_listed_with_the_suite_that_they_need(self):
        listed = [each for each in installed_tasks() if each.suite == "envpool"]
        assert len(listed) > 1000 and {"CartPole-v1", "Pong-v5", "highway-fast-v0"} < {each.id for each in listed}
        assert not any(each.is_tried for each in listed)
