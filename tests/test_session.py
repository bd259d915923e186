"""A session's parts, wired."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.runs import tiny
from tfdqn.checkpoints import BEGINS_ANEW
from tfdqn.run_dir import RunDir
from tfdqn.session import Session
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
