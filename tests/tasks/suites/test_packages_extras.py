"""The packages of setup.cfg's extras: each makes, describes and steps its tasks, and shows no banner."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.commands import PROJECT
from tfdqn.config import Task
from tfdqn.tasks.checking.check import check
from tfdqn.tasks.registry import installed_tasks, resolve_spec

pytestmark = pytest.mark.tasks

GOALS = {"observation", "achieved_goal", "desired_goal"}
BRANCHES: dict[str, Any] = {"action_bins": 3, "action_form": "branches"}


@pytest.mark.parametrize(
    ("task_id", "keys", "observation", "actions"),
    [
        ("InvertedPendulum-v5", {"action_bins": 5}, {"observation"}, (5,)),
        ("Reacher-v5", {"action_bins": 5}, {"observation"}, (25,)),
        ("Hopper-v5", BRANCHES, {"observation"}, (3, 3, 3)),
        ("FetchReach-v4", BRANCHES, GOALS, (3, 3, 3, 3)),
        ("PointMaze_UMaze-v3", {"action_bins": 3}, GOALS, (9,)),
        ("highway-fast-v0", {}, {"observation"}, (5,)),
        ("merge-v0", {}, {"observation"}, (5,)),
        ("parking-v0", {"action_bins": 3}, GOALS, (9,)),
        ("stocks-v0", {}, {"observation"}, (2,)),
        ("forex-v0", {}, {"observation"}, (2,)),
        ("or_gym_inventory/Newsvendor-v0", {"action_bins": 5}, {"observation"}, (5,)),
    ],
)
def test_a_task_is_made_described_and_stepped(
    task_id: str, keys: dict[str, Any], observation: set[str], actions: tuple[int, ...]
) -> None:
    task = Task(id=task_id, num_envs=2, vectorization="sync", **keys)
    spec = resolve_spec(task)
    assert set(spec.observation) == observation and spec.num_actions == actions
    found = check(task, lambda *where: None, env_steps=12)
    assert found.can_train, found.failures
    assert {each.about: each.verdict for each in found.findings}["same seed"] == "yes"


@pytest.mark.parametrize(
    ("task_id", "keys"),
    [("or_gym_inventory/Newsvendor-v0", ["task.action_bins=5"]), ("FetchReach-v4", ["task.action_bins=3"])],
)
def test_no_banner_is_shown_not_by_processes_either(task_id: str, keys: list[str]) -> None:
    few = ["task.num_envs=2", "task.vectorization=async", "task.max_episode_steps=5", "--json"]
    command = [sys.executable, "-m", "tfdqn", "tasks", "--check", task_id, *keys, *few]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=PROJECT)
    assert done.stderr == "" and json.loads(done.stdout)["can_train"]


def test_their_tasks_are_listed() -> None:
    listed = {each.id for each in installed_tasks() if each.suite == "auto"}
    assert {"highway-fast-v0", "FetchReach-v4", "stocks-v0", "or_gym_inventory/Newsvendor-v0", "Hopper-v5"} < listed
