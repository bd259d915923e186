"""Whether EnvPool can render, which it may answer by ending the process that has asked."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tfdqn.errors import TaskError
from tfdqn.tasks.suites.envpool_envs import require_rendering


class Environments:
    """Of EnvPool, as far as they are rendered."""

    def __init__(self, seeds):
        assert seeds == [0]

    def reset(self):
        self.is_reset = True

    def render(self, env_ids):
        assert self.is_reset and env_ids.tolist() == [0]
        return np.zeros((1, 2, 2, 3), np.uint8)


class WithoutOpenGL(Environments):
    def render(self, env_ids):
        print("ERROR: an OpenGL platform library has not been loaded\n", flush=True)
        os._exit(1)


class Unfinished(Environments):
    def render(self, env_ids):
        raise RuntimeError("render is not implemented")


class Crashing(Environments):
    def render(self, env_ids):
        os.kill(os.getpid(), signal.SIGSEGV)


@pytest.fixture(autouse=True)
def importable_classes(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


def error_of(task_id, make):
    with pytest.raises(TaskError) as caught:
        require_rendering(task_id, make)
    return str(caught.value)


def test_environments_that_can_be_rendered_are_taken(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pickle.py").write_text("raise ImportError('not the library')")
    require_rendering("Hopper-v5", Environments)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (WithoutOpenGL, "an OpenGL platform library has not been loaded"),
        (Unfinished, "RuntimeError: render is not implemented"),
        (Crashing, "the process was killed by signal 11 (SIGSEGV)"),
    ],
)
def test_what_hinders_the_renderer_is_one_line_with_a_way_out(make, why):
    assert error_of("CartPole-v1", make) == (
        f"EnvPool can't render CartPole-v1 here: {why}; `task.suite=\"auto\"` renders gymnasium's version"
    )
    assert error_of("FishSwim-v9", make) == f"EnvPool can't render FishSwim-v9 here: {why}"
