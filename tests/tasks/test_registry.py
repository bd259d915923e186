"""A task's id leads to its suite: gymnasium's, or one that a module of the user's registers."""

import re
import sys
from pathlib import Path

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.storage.run_directory import RunDir
from tfdqn.tasks.registry import installed_tasks, require_learnable, resolve_spec
from tfdqn.training.call import train

CORRIDOR = "tests.support.own_suite:corridor/3"
BROKEN_MODULES = {
    "syntax": ("def (:", "importing {module} failed: SyntaxError"),
    "missing": ("import no_such_package_at_all", '{module} needs "no_such_package_at_all"'),
    "raises": ("raise RuntimeError('no\\nlicence')", "importing {module} failed at {file}:1: RuntimeError: no licence"),
}


def error_of(call, *args, **kwargs):
    with pytest.raises(TaskError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_users_module_in_the_current_directory_is_found(tmp_path, monkeypatch):
    module = "users_own_envs"
    (tmp_path / f"{module}.py").write_text(
        "import gymnasium\nfrom tests.support.toy_environments import Chain\n"
        "gymnasium.register('Mine-v0', lambda: Chain())\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert resolve_spec(Task(id=f"{module}:Mine-v0")).num_actions == (2,)
    said = error_of(resolve_spec, Task(id=f"{module}:Mien-v0"))  # other tests' tasks may be near, too
    assert re.match(r'unknown task "users_own_envs:Mien-v0"; the nearest (is|are) users_own_envs:Mine-v0', said)
    assert error_of(resolve_spec, Task(id=f"{module}:Xyzzy-v0")).endswith(f"; {module} registers no Xyzzy-v0")
    assert error_of(resolve_spec, Task(id=f"{module}:")).endswith(f"; its name is missing, as in {module}:Name-v0")


@pytest.mark.parametrize("kind", BROKEN_MODULES)
def test_a_users_module_that_cannot_be_imported_is_one_line(kind, tmp_path, monkeypatch):
    source, expected = BROKEN_MODULES[kind]
    module = f"users_{kind}_envs"
    file = tmp_path / f"{module}.py"
    file.write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert expected.format(module=module, file=file) in error_of(resolve_spec, Task(id=f"{module}:Mine-v0"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("register_suite('a/b', Suite())", 'register_suite: the name is "a/b"; expected text without "/" and ":"'),
        ("register_suite('a', 3)", 'register_suite("a").check = None; expected a function of (task)'),
        (
            "register_suite('a', Suite)",
            'register_suite("a").check = Suite.check at {file}:3 takes (self, task); expected (task)',
        ),
        (
            "register_suite('a', Suite())",
            'register_suite("a").describe = Suite.describe at {file}:4 takes (); expected (task)',
        ),
    ],
)
def test_what_is_no_suite_is_refused_when_its_module_is_imported(call, said, tmp_path, monkeypatch):
    file = tmp_path / f"users_suite_{tmp_path.name}.py"
    file.write_text(
        "from tfdqn.tasks.registry import register_suite\nclass Suite:\n    def check(self, task): ...\n"
        f"    def describe(self): ...\n{call}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    message = error_of(resolve_spec, Task(id=f"{file.stem}:a/1"))
    importing = f"{file.stem}:a/1: importing {file.stem} failed at {file}:5: "
    assert message == importing + said.format(file=file)


def test_a_users_module_that_does_not_exist_is_named():
    message = error_of(resolve_spec, Task(id="no_such_folder.envs:Mine-v0"))
    assert 'there is no module "no_such_folder" in ' in message


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("no_maze.py", ""),  # that module is what there is not
        ("./no_envs/no_maze.py", '; as a module it is "no_envs.no_maze"'),
        ("no_envs/no_maze", '; as a module it is "no_envs.no_maze"'),
        ("/home/no_maze.py", ""),
        ("no_envs.no_maze", ""),
    ],
)
def test_a_file_s_path_in_place_of_a_module_is_answered_with_the_module(written, hint):
    message = error_of(resolve_spec, Task(id=f"{written}:Mine-v0"))
    assert message.startswith(f'{written}:Mine-v0: there is no module "')
    assert message.endswith(hint or "or among the installed ones; if it is elsewhere, add its folder to PYTHONPATH")


def test_a_task_is_learnable_by_what_one_environment_is_like(monkeypatch):
    require_learnable(Task(id="CartPole-v1"))
    assert "unknown task" in error_of(require_learnable, Task(id="CartPol-v1"))
    assert "task.action_bins" in error_of(require_learnable, Task(id="Pendulum-v1"))

    def fail(env, **kwargs):
        raise RuntimeError("no device")

    monkeypatch.setattr("gymnasium.envs.classic_control.cartpole.CartPoleEnv.__init__", fail)
    assert "no device" in error_of(resolve_spec, Task(id="CartPole-v1"))
    require_learnable(Task(id="CartPole-v1"))  # the processes that train keep its traceback


def test_a_suite_of_ones_own_is_registered_listed_and_trained_with(tmp_path: Path) -> None:
    config = tiny(
        f"task.id={CORRIDOR}", "replay.backend=in_graph", "optimizer.learning_rate=0.01", "learner.schedule=alternate"
    )
    summary = train(config, tmp_path / "run")
    assert summary.env_steps >= 1_200 and summary.train_steps > 250
    assert RunDir(tmp_path / "run").task_spec().id == CORRIDOR
    assert summary.best_return == 1.0  # it walks to the end
    assert "corridor/3" in [entry.id for entry in installed_tasks()]
    message = error_of(resolve_spec, Task(id=f"{CORRIDOR}a"))
    assert message == f'unknown task "{CORRIDOR}a"; corridor/3 is one of three steps'
