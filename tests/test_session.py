"""A session's parts, wired."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.runs import tiny
from tfdqn.acting.actor import Actor
from tfdqn.acting.actors import make_actor
from tfdqn.checkpoints import BEGINS_ANEW
from tfdqn.config import Config
from tfdqn.run_dir import RunDir
from tfdqn.session import Session
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.batched import BatchedTask
from tfdqn.team import Team


def test_the_age_of_the_weights_can_be_logged_before_the_first_step(tmp_path: Path) -> None:
    run, config = RunDir(tmp_path / "run"), tiny("replay.backend=in_graph")
    with (
        run.claim(config),
        closing(Team(config, run, None, ["CPU:0"], print)) as team,
        closing(Session(config, run, team, print)) as session,
    ):
        assert session.actors.weights_version == 0


@pytest.mark.parametrize("has_been_trained", [False, True])
def test_who_comes_back_before_the_first_checkpoint_begins_anew_and_says_so(
    tmp_path: Path, has_been_trained: bool
) -> None:
    run, config = RunDir(tmp_path / "run"), tiny("replay.backend=in_graph")
    with run.claim(config):
        if has_been_trained:
            run.metrics_file.touch()
        with (
            closing(Team(config, run, None, ["CPU:0"], print)) as team,
            closing(Session(config, run, team, print)) as session,
        ):
            assert session.resumed == (BEGINS_ANEW if has_been_trained else None)


def test_a_run_that_was_begun_with_images_as_they_are_goes_on_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before versions knew what images of floats are divided by."""
    acts_on: list[TaskSpec] = []

    def recorded(config: Config, task: BatchedTask, *parts: Any) -> Actor:
        acts_on.append(task.spec)
        return make_actor(config, task, *parts)

    monkeypatch.setattr("tfdqn.session.make_actor", recorded)
    run = RunDir(tmp_path / "run")
    config = tiny(
        "replay.backend=in_graph",
        "task.id=tests.environments:Catch-v0",
        "task.kwargs={pixels = true, dtype = 'float32'}",
    )

    def sees(high: tuple[float, ...]) -> None:
        with (
            run.claim(config),
            closing(Team(config, run, None, ["CPU:0"], print)) as team,
            closing(Session(config, run, team, print)) as session,
        ):
            assert session.task_spec.observation["observation"].high == high
            assert acts_on[-1] == session.task_spec

    sees((255.0,))
    run.metrics_file.write_text("{}\n")  # it has learned something
    spec = run.task_spec()
    as_it_was = replace(spec.observation["observation"], high=())
    run.task_file.write_bytes(replace(spec, observation={"observation": as_it_was}).to_json())
    sees(())
