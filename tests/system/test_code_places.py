"""A process that hangs names the lines of the environment's and the user's code in which its threads are."""

import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.waiting import until
from tfdqn.system.code_places import places_of_threads

MINE, INSTALLED = "/home/me/maze.py", f"{Path(np.__file__).parents[1]}/mazes.py"
WAIT = "class Env:\n    def step(self, release):\n        release.wait()\n"
CALL = "def call(function, argument):\n    return function(argument)\n"


def module(name: str, file: str, source: str) -> Any:
    """A module as if it were imported from this file."""
    made = types.ModuleType(name)
    exec(compile(source, file, "exec"), vars(made))
    return made


@pytest.mark.parametrize(
    ("caller", "file", "places"),
    [
        ("tfdqn.tasks.batch", MINE, [f"Env.step at {MINE}:3"]),
        ("tfdqn.tasks.batch", INSTALLED, [f"Env.step at {INSTALLED}:3"]),
        ("tfdqn.learning.step", MINE, [f"Env.step at {MINE}:3"]),
        ("tfdqn.learning.step", INSTALLED, []),  # a library that tfdqn uses is nobody's to mend
        ("scripts.own", MINE, []),  # the user's own thread
    ],
)
def test_the_place_is_in_the_code_that_tfdqn_called(caller: str, file: str, places: list[str]) -> None:
    call: Callable[..., None] = module(caller, "/tfdqn/caller.py", CALL).call
    before, release = places_of_threads(), threading.Event()
    env = module("maze", file, WAIT).Env()
    thread = threading.Thread(target=call, args=(env.step, release), daemon=True)
    thread.start()
    try:
        until(lambda: any(release._cond._waiters), "the call")  # type: ignore[attr-defined]
        assert [each for each in places_of_threads() if each not in before] == places
    finally:
        release.set()
        thread.join()
