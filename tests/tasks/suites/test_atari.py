"""Atari's games by id: their shapes, their settings, and every way in which one can't be had."""

import subprocess
import sys

import pytest

from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.tasks.registry import check_task, installed_tasks, resolve_spec
from tfdqn.tasks.suites import atari, packages


def test_a_game_is_seen_as_machado_et_al_2018_see_it():
    spec = resolve_spec(Task(id="ALE/Breakout-v5", frame_stack=4))
    seen = spec.observation["observation"]
    assert (seen.shape, seen.dtype, seen.frame_stack, seen.high) == ((4, 84, 84), "uint8", 4, (255.0,))
    assert spec.max_episode_steps == 27_000  # half an hour at 60 frames a second, four to a step
    assert spec.action_names == (("NOOP", "FIRE", "RIGHT", "LEFT"),)
    assert (atari.Settings().repeat_action_probability, atari.Settings().frameskip) == (0.25, 4)


def test_settings_are_ale_pys_own():
    task = Task(id="ALE/Breakout-v5", kwargs={"full_action_space": True, "img_height": 42, "frameskip": 2})
    spec = resolve_spec(task)
    assert spec.num_actions == (18,)
    assert spec.observation["observation"].shape == (42, 84)
    assert spec.max_episode_steps == 54_000
    assert resolve_spec(Task(id="ALE/Pong-v5", max_episode_steps=7)).max_episode_steps == 7


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"id": "ALE/Breakuot-v5"}, 'unknown task "ALE/Breakuot-v5"; the nearest are ALE/Breakout-v5'),
        ({"kwargs": {"reward_clipping": True}}, "task.kwargs.reward_clipping: set task.reward_clip instead"),
        ({"kwargs": {"episodic_life": True}}, "task.kwargs.episodic_life: set task.end_on_life_loss instead"),
        ({"kwargs": {"mode": 3}}, "task.kwargs: ALE/Pong-v5 takes no mode; it takes repeat_action_probability, "),
        ({"kwargs": {"frameskip": 0}}, "task.kwargs.frameskip = 0: expected int >= 1"),
        ({"action_masks": True}, "task.action_masks: ALE/Pong-v5 gives no action masks"),
    ],
)
def test_what_a_game_does_not_have_is_one_line(keys, message):
    with pytest.raises(TaskError) as caught:
        check_task(Task(**{"id": "ALE/Pong-v5", **keys}))
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize("is_installed", [True, False])
def test_what_is_no_game_is_not_of_this_suite(is_installed, monkeypatch):
    monkeypatch.setattr(packages, "is_installed", lambda package: is_installed)
    for task_id in "CartPole-v1", "Pong-v5":
        with pytest.raises(TaskError) as caught:
            check_task(Task(id=task_id, suite="ALE"))
        assert str(caught.value) == (
            f'task.suite = "ALE": {task_id} is not one of its games, such as ALE/Pong-v5; "auto" goes by the id, and '
            'others are "gymnasium" and "envpool"'
        )


def test_without_ale_py_none_is_listed(monkeypatch):
    assert "ALE/Pong-v5" in {entry.id for entry in installed_tasks()}
    monkeypatch.setattr(packages, "is_installed", lambda package: False)
    assert atari.AtariSuite().installed() == []


def test_the_emulators_banner_is_not_shown():
    script = (
        "from tfdqn.config import Task\n"
        "from tfdqn.tasks.registry import make_task\n"
        "for kind in 'own', 'sync', 'async':\n"
        "    task = make_task(Task(id='ALE/Pong-v5', num_envs=1, vectorization=kind))\n"
        "    task.reset(0)\n"
        "    task.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
