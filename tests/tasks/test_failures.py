"""The line of an environment's failure names the place in its code that raised it."""

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from tfdqn.tasks.failures import failure_line

ENV = """
import json
import gymnasium

class Env(gymnasium.Env):
    def step(self, action):
        return json.loads(action)
"""
WRAPPER = "import gymnasium\nclass Wrap(gymnasium.Wrapper):\n    def step(self, action): return self.env.step(action)"
MINE, INSTALLED = Path("/home/me/maze.py"), Path(np.__file__).parents[1] / "mazes.py"


def module(file: Path, source: str = ENV, name: str = "") -> Any:
    """A module as if it were imported from this file."""
    made = types.ModuleType(name or file.stem)
    exec(compile(source, str(file), "exec"), vars(made))
    return made


# As a module of the package, which catches what environments raise.
CATCH = """
def caught(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return error
"""
caught: Callable[..., Exception] = module(Path("/tfdqn/tasks/catch.py"), CATCH, "tfdqn.tasks.catch").caught


def test_it_is_the_innermost_line_that_is_the_environments() -> None:
    wrapped = gymnasium.Wrapper(module(MINE).Env())
    assert failure_line(caught(wrapped.step, "{")).startswith(f"Env.step failed at {MINE}:7: JSONDecodeError: ")


def test_an_installed_wrapper_around_the_users_environment_is_not_named() -> None:
    wrapped = module(INSTALLED, WRAPPER).Wrap(module(MINE).Env())
    assert failure_line(caught(wrapped.step, "{")).startswith(f"Env.step failed at {MINE}:7: ")


def test_an_installed_environment_is_named() -> None:
    wrapped = gymnasium.Wrapper(module(INSTALLED).Env())
    assert failure_line(caught(wrapped.step, "{")).startswith(f"Env.step failed at {INSTALLED}:7: JSONDecodeError: ")


def test_it_is_found_below_what_gymnasium_raised_in_its_place() -> None:
    made = module(MINE, "def make(a):\n    return a + ''")
    spec = gymnasium.envs.registration.EnvSpec("Maze-v0", made.make, kwargs={"a": 1})
    assert failure_line(caught(gymnasium.make, spec)).startswith(f"make failed at {MINE}:2: TypeError: unsupported")


def test_what_no_environments_code_raised_has_no_place() -> None:
    assert failure_line(caught(np.zeros, -1)) == "ValueError: negative dimensions are not allowed"
    assert failure_line(caught(gymnasium.make("CartPole-v1").step, 0)).startswith("ResetNeeded: ")


def test_an_error_that_the_callers_program_was_handling_is_not_the_environments() -> None:
    try:
        module(MINE).Env().step("{")
    except ValueError:
        error = caught(np.zeros, -1)
    assert error.__context__ is not None
    assert failure_line(error) == "ValueError: negative dimensions are not allowed"
