"""gymnasium's tasks: every way in which one can't be had is one line that says what to do."""

import re
import sys
from importlib import import_module
from typing import ClassVar

import gymnasium
import pytest

from tests.support import toy_environments
from tests.support.dials import Dials
from tests.tasks.test_registry import error_of
from tfdqn.config import Task
from tfdqn.system.shell_commands import install_extra, pip_install
from tfdqn.tasks.registry import check_task, installed_tasks, make_task, resolve_spec
from tfdqn.tasks.suites import envpool_envs, packages
from tfdqn.tasks.suites.suite import TaskEntry


def test_the_spec_says_what_the_task_registers():
    spec = resolve_spec(Task(id="CartPole-v1"))
    assert (spec.id, spec.max_episode_steps) == ("CartPole-v1", 500)
    assert make_task(Task(id="CartPole-v1", num_envs=1)).spec == spec
    assert resolve_spec(Task(id="CartPole-v1", max_episode_steps=7)).max_episode_steps == 7


def test_an_id_without_a_version_is_the_latest():
    assert resolve_spec(Task(id="CartPole")).max_episode_steps == 500


@pytest.mark.parametrize(("wrong", "right"), [("Cartpole-v1", "CartPole-v1"), ("LunarLander-v2", "LunarLander-v3")])
def test_an_unknown_id_is_answered_with_the_nearest(wrong, right):
    message = error_of(resolve_spec, Task(id=wrong))
    assert message.startswith(f'unknown task "{wrong}"; the nearest ') and right in message


def test_a_single_nearest_id_is_in_the_singular(monkeypatch):
    monkeypatch.setattr(envpool_envs, "is_installed", lambda: False)
    monkeypatch.setattr("gymnasium.registry", {"Ant-v5": None})
    assert error_of(resolve_spec, Task(id="Art-v5")) == 'unknown task "Art-v5"; the nearest is Ant-v5'
    assert error_of(resolve_spec, Task(id="Plnt-v0")).endswith(
        "; those of your own need their module, as in my_envs:Name-v0"
    )
    assert error_of(resolve_spec, Task(id="tests.support.toy_environments:Plnt-v0")).endswith(
        "toy_environments registers no Plnt-v0"
    )


def test_an_argument_that_the_constructor_does_not_take_is_refused_before_an_environment_is_made():
    message = error_of(check_task, Task(id="CartPole-v1", kwargs={"sutton_reward": True}))
    assert message.startswith("task.kwargs: CartPole-v1 takes no sutton_reward; it takes sutton_barto_reward")
    gymnasium.register("tests/Absent-v0", "tests.no_such_module:Absent")
    check_task(Task(id="tests/Absent-v0", kwargs={"size": 3}))  # this host need not have the module
    gymnasium.registry.pop("tests/Absent-v0")


def test_an_id_that_only_envpool_has_is_answered_with_its_suite(monkeypatch):
    monkeypatch.setattr(envpool_envs, "is_installed", lambda: True)
    monkeypatch.setattr(envpool_envs, "ids", lambda: ["FishSwim-v9", "CartPole-v9"])
    has_it = 'EnvPool has it: task.suite = "envpool"'
    assert error_of(resolve_spec, Task(id="FishSwim-v9")) == f'unknown task "FishSwim-v9"; {has_it}'
    near = error_of(resolve_spec, Task(id="CartPole-v9"))
    assert "the nearest are CartPole-v1" in near and near.endswith(f"; {has_it}")
    monkeypatch.setattr(envpool_envs, "is_installed", lambda: False)
    assert "EnvPool" not in error_of(resolve_spec, Task(id="FishSwim-v9"))


def test_an_id_like_no_other_is_sent_to_the_list():
    assert "`tfdqn tasks`" in error_of(resolve_spec, Task(id="???"))


@pytest.mark.parametrize(
    ("task_id", "install"),
    [
        ("Hopper-v5", install_extra("mujoco")),
        ("phys2d/CartPole-v1", "JAX, of which no version can be installed beside TensorFlow 2.15"),
        ("ALE/Breakout-v5", install_extra("atari")),
        ("BreakoutNoFrameskip-v4", install_extra("atari")),
        ("MinAtar/Breakout-v0", install_extra("minatar")),
        ("highway-fast-v0", install_extra("driving")),
        ("FetchReach-v4", install_extra("robotics")),
        ("or_gym_inventory/Newsvendor-v0", install_extra("scheduling")),
    ],
)
def test_a_task_whose_package_is_missing_says_what_to_install(task_id, install, monkeypatch):
    # As if none were installed, whatever is installed where the tests run.
    for missing in ("mujoco", "jax", *(package.module for package in packages.PACKAGES)):
        monkeypatch.setitem(sys.modules, missing, None)
    for loaded in [
        name for name in sys.modules if name.startswith(("gymnasium.envs.mujoco.", "jax.", "minatar.", "ale_py."))
    ]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(packages, "is_installed", lambda package: False)
    assert error_of(resolve_spec, Task(id=task_id)) == f"{task_id} needs a package: {install}"


def test_box2d_tasks_name_their_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    for loaded in [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(sys.modules, loaded)
    message = error_of(resolve_spec, Task(id="LunarLander-v3"))
    assert message == f"LunarLander-v3 needs a package: {pip_install('gymnasium[box2d]')}"


def test_an_installed_package_registers_its_tasks_when_one_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "minatar_like.py").write_text(
        "import gymnasium\n"
        "def register_envs():\n"
        "    gymnasium.register('Like/Chain-v0', 'tests.support.toy_environments:Chain')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    like = packages.Package("minatar_like", "minatar-like", "Like/", register="minatar_like:register_envs")
    monkeypatch.setattr(packages, "PACKAGES", (like,))
    assert resolve_spec(Task(id="Like/Chain-v0")).num_actions == (2,)
    del gymnasium.registry["Like/Chain-v0"]


def test_a_users_own_task_may_have_an_id_like_those_of_a_package_that_is_not_installed(monkeypatch):
    def lacks_milk():
        raise ModuleNotFoundError("No module named 'milk'", name="milk.whole")

    monkeypatch.setattr(packages, "PACKAGES", (packages.Package("no_such_robots", "robotics", "Fetch"),))
    monkeypatch.setattr(gymnasium, "registry", dict(gymnasium.registry))
    monkeypatch.setattr(gymnasium.envs.registration, "registry", gymnasium.registry)
    gymnasium.register("FetchBeer-v0", toy_environments.Chain)
    gymnasium.register("FetchMilk-v0", lacks_milk)
    assert resolve_spec(Task(id="FetchBeer-v0")).num_actions == (2,)
    assert error_of(resolve_spec, Task(id="FetchMilk-v0")) == f"FetchMilk-v0 needs a package: {pip_install('milk')}"
    said = error_of(resolve_spec, Task(id="tests.support.toy_environments:FetchWine-v0"))
    assert said.startswith('unknown task "tests.support.toy_environments:FetchWine-v0"; the nearest ')


def test_a_wrong_keyword_is_named_with_those_that_are_right():
    message = error_of(make_task, Task(id="CartPole-v1", kwargs={"gravty": 9.8}))
    assert message == "task.kwargs: CartPole-v1 takes no gravty; it takes sutton_barto_reward, render_mode"


def test_a_wrong_value_shows_the_keywords():
    message = error_of(make_task, Task(id="FrozenLake-v1", kwargs={"map_name": "9x9"}))
    assert "FrozenLake-v1 could not be made with task.kwargs {'map_name': '9x9'}: KeyError" in message


@pytest.mark.parametrize(
    ("task_id", "kwargs", "line"),
    [
        ("FrozenLake-v1", {"map_name": 3}, 'task.kwargs.map_name = 3, but its default, "4x4", is a string'),
        ("LunarLander-v3", {"gravity": "x"}, 'task.kwargs.gravity = "x", but its default, -10.0, is a number'),
        ("tfdqn/Battery-v0", {"power_mw": [1]}, "task.kwargs.power_mw = [1], but its default, 1.0, is a number"),
    ],
)
def test_a_value_of_another_kind_is_named_where_the_constructor_fails(task_id, kwargs, line):
    assert error_of(make_task, Task(id=task_id, kwargs=kwargs)) == f"{task_id} could not be made: {line}"


def test_a_value_of_another_kind_is_warned_of_where_the_constructor_takes_it(caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    for _ in range(2):
        make_task(Task(id="MountainCar-v0", num_envs=1, kwargs={"goal_velocity": "fast"})).close()
    assert [record.getMessage() for record in caplog.records] == [
        'MountainCar-v0: task.kwargs.goal_velocity = "fast", but its default, 0, is a number'
    ]
    make_task(Task(id="MountainCar-v0", num_envs=1, kwargs={"goal_velocity": 0.01})).close()
    assert len(caplog.records) == 1


def test_the_limit_of_steps_has_a_key_of_its_own():
    message = error_of(make_task, Task(kwargs={"max_episode_steps": 3}))
    assert message == "task.kwargs.max_episode_steps: set task.max_episode_steps instead"


def test_keywords_change_the_task():
    assert (
        resolve_spec(Task(id="FrozenLake-v1", kwargs={"map_name": "8x8"})).observation["observation"].categories == 64
    )
    heavy = make_task(Task(id="LunarLander-v3", num_envs=1, kwargs={"gravity": -5.0}))
    assert heavy._envs.envs[0].unwrapped.gravity == -5.0


def test_a_constructor_that_raises_is_one_line():
    message = error_of(make_task, Task(id="tests.support.toy_environments:Broken-v0"))
    failed = r"Broken-v0 could not be made: Broken\.__init__ failed at /\S*/tests/support/odd_environments\.py:\d+: "
    assert re.fullmatch(rf"tests\.support\.toy_environments:{failed}RuntimeError: the simulator did not start", message)


@pytest.mark.parametrize("space", ["action_space", "observation_space"])
def test_a_class_without_a_space_is_one_line(monkeypatch, space):
    class Spaceless(toy_environments.Chain):
        def __getattribute__(self, name):
            if name == space:
                raise AttributeError(f"no {name}")
            return super().__getattribute__(name)

    monkeypatch.setattr(gymnasium.registry["Chain-v0"], "entry_point", Spaceless)
    message = error_of(resolve_spec, Task(id="tests.support.toy_environments:Chain-v0"))
    assert message.startswith("tests.support.toy_environments:Chain-v0 could not be made: ")
    assert message.endswith(f": AttributeError: no {space}")


def test_a_module_that_fails_when_it_is_imported_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "no_opengl.py").write_text("raise AttributeError('no glGetError')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(
        gymnasium.registry, "Drawn-v0", gymnasium.envs.registration.EnvSpec("Drawn-v0", "no_opengl:Env")
    )
    message = error_of(make_task, Task(id="Drawn-v0"))
    place = f"no_opengl failed at {tmp_path / 'no_opengl.py'}:1"
    assert message == f"Drawn-v0 could not be made: {place}: AttributeError: no glGetError"


@pytest.mark.parametrize("error", [RuntimeError("no window"), SystemExit(3)])
def test_an_environment_that_fails_while_it_closes_is_usable(monkeypatch, error):
    class Unclosing(toy_environments.Chain):
        metadata: ClassVar = {"render_modes": ["ansi"]}

        def __init__(self, render_mode=None):
            super().__init__()
            self.render_mode = render_mode

        def close(self):
            raise error

    monkeypatch.setattr(gymnasium.registry["Chain-v0"], "entry_point", Unclosing)
    make_task(Task(id="Chain-v0")).close()
    assert next(entry for entry in installed_tasks() if entry.id == "Chain-v0").reason == ""
    message = error_of(make_task, Task(id="Chain-v0"), render_mode="rgb_array")
    assert (
        message == "Chain-v0 can't be rendered as rgb_array: it offers ansi (docs/your_task.md says what a video needs)"
    )


def test_a_task_with_other_actions_is_refused():
    message = error_of(make_task, Task(id="Pendulum-v1"))
    assert message.startswith("Pendulum-v1: actions are Box(") and "task.action_bins must say how" in message


def test_a_task_that_cannot_draw_says_what_it_can():
    message = error_of(make_task, Task(id="tests.support.toy_environments:Chain-v0"), render_mode="rgb_array")
    assert message == (
        "tests.support.toy_environments:Chain-v0 can't be rendered as rgb_array: its constructor takes no argument "
        "render_mode (docs/your_task.md says what a video needs)"
    )


def test_a_creator_whose_environment_takes_no_render_mode_says_that_it_can_not_draw(monkeypatch):
    spec = gymnasium.envs.registration.EnvSpec("Made-v0", lambda **kwargs: toy_environments.Chain(**kwargs))
    monkeypatch.setitem(gymnasium.registry, "Made-v0", spec)
    assert make_task(Task(id="Made-v0")).spec.id == "Made-v0"
    message = error_of(make_task, Task(id="Made-v0"), render_mode="rgb_array")
    assert message == (
        "Made-v0 can't be rendered as rgb_array: its constructor takes no argument render_mode (docs/your_task.md says "
        "what a video needs)"
    )


def test_an_old_version_is_one_helpful_line_and_nothing_of_gymnasiums(recwarn, capfd, caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    for num_envs in (1, 2):  # to act in, and to evaluate in
        old = make_task(Task(id="CartPole-v0", num_envs=num_envs))
        old.reset(seed=0)
        assert old.spec.max_episode_steps == 200
    assert [record.getMessage() for record in caplog.records] == [
        "CartPole-v0 is out of date; its maintainers recommend CartPole-v1"
    ]
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_the_list_says_which_tasks_are_usable_by_which_keys_and_why_others_are_not(monkeypatch):
    import_module("tests.support.toy_environments")
    for name, kind in ("ManyDials-v0", "box"), ("ManyBits-v0", "binary"):
        spec = gymnasium.envs.registration.EnvSpec(name, Dials, kwargs={"dials": 21, "kind": kind})
        monkeypatch.setitem(gymnasium.registry, name, spec)
    entries = {entry.id: entry for entry in installed_tasks() if entry.suite == "auto"}
    assert entries["CartPole-v1"] == TaskEntry("CartPole-v1", "", own_vector_version=True)
    assert entries["Taxi-v3"] == TaskEntry("Taxi-v3", "", own_vector_version=False)
    assert entries["Pendulum-v1"] == TaskEntry("Pendulum-v1", "", False, needs="task.action_bins")
    assert entries["ManyDials-v0"].needs == 'task.action_bins and task.action_form = "branches"'
    assert entries["ManyBits-v0"].needs == 'task.action_form = "branches"'
    broken = entries["Broken-v0"].reason
    assert broken.startswith("could not be made: ") and broken.endswith(": RuntimeError: the simulator did not start")
    assert "CartPole-v0" not in entries
    assert list(entries) == sorted(entries)
