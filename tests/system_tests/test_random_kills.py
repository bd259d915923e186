"""Random kills in one run: it ends as if nothing had been, and nothing of it is left."""

from pathlib import Path

import pytest

from tests.support.chaos import chaos, is_growing
from tests.support.commands import PROJECT, write_config
from tests.support.launched_jobs import QUICK_HEALTH

CARTPOLE = PROJECT / "configs" / "cartpole.toml"
# The run lasts for all of the kills, and ends with the best policy that was found.
WHOLE_RUN = ("stop.return_at_least=501.0", "checkpoint.interval_seconds=5.0")
ASYNCHRONOUS = ("--parameter-servers", "1", "--workers", "2", "--actors", "2", "--replay-servers", "2")


def test_growing_is_more_in_the_last_quarter_of_a_life_than_ever_before() -> None:
    assert is_growing(list(range(10, 40)))
    assert not is_growing([8] * 30 + [13] * 9 + [20] * 4 + [33] * 33)  # of a parameter server that waited
    assert not is_growing([8, 8, 13, 20, 33, *[33] * 20])
    assert not is_growing([30, 34, 31] * 10)


@pytest.mark.long  # by stand-ins for the roles: tests/launch/test_supervisor.py
def test_a_short_run_with_two_kills_comes_to_its_end(tmp_path: Path) -> None:
    config = write_config(tmp_path, *QUICK_HEALTH, "stop.env_steps=100_000", "checkpoint.interval_seconds=1")
    outcome = chaos(tmp_path, tmp_path / config, 3, 2)
    assert len(outcome.deaths) == 2
    assert outcome.final is not None


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_cartpole_is_solved_in_spite_of_twenty_kills(tmp_path: Path) -> None:
    outcome = chaos(tmp_path, CARTPOLE, 1, 20, *WHOLE_RUN, *ASYNCHRONOUS)
    assert len(outcome.deaths) == 20
    assert outcome.final is not None and outcome.final.mean_return >= 475
