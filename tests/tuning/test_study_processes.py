"""Several processes carry one study on, and some are killed at any moment: nothing is lost."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.studies import carry_on, held_by, study_in
from tfdqn.tuning.trial_records import TrialState


def run_processes(folder: Path, count: int, wanted: int, kills: int, rng: random.Random) -> None:
    """Carries a study on by so many processes, of which some are killed at any moment."""
    (held := held_by(folder)).touch()  # so that none ends before it is killed
    command = [sys.executable, "-m", "tests.support.studies", str(folder), str(wanted)]
    processes = [subprocess.Popen(command, cwd=PROJECT) for _ in range(count)]
    deadline = time.monotonic() + 300
    for victim in rng.sample(processes, kills):
        begun = len(list(folder.glob("begun-*")))
        while len(list(folder.glob("begun-*"))) <= min(begun, wanted - 2):
            assert time.monotonic() < deadline
            assert any(each.poll() is None for each in processes)
            time.sleep(rng.uniform(0.001, 0.03))
        victim.kill()
    held.unlink()
    for each in processes:
        each.wait(timeout=deadline - time.monotonic())
    assert sorted(each.returncode for each in processes) == [-9] * kills + [0] * (count - kills)


def assert_nothing_is_lost(folder: Path, wanted: int) -> None:
    trials = study_in(folder).trials()
    counting = [each for each in trials if each.counts]
    assert len(counting) == wanted
    for each in counting:
        assert each.state is TrialState.COMPLETE
        assert sorted(each.returns) == [1, 2, 3]
        rates = set((folder / f"begun-{each.number}").read_text().split())
        assert rates == {repr(each.values["optimizer.learning_rate"])}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_ten_processes_of_which_three_are_killed_lose_nothing(tmp_path: Path, seed: int) -> None:
    run_processes(tmp_path, count=10, wanted=60, kills=3, rng=random.Random(seed))
    assert_nothing_is_lost(tmp_path, wanted=60)


def test_two_processes_of_which_one_is_killed_lose_nothing(tmp_path: Path) -> None:
    run_processes(tmp_path, count=2, wanted=15, kills=1, rng=random.Random(1))
    assert_nothing_is_lost(tmp_path, wanted=15)


def test_a_process_carries_a_finished_study_on_when_more_trials_are_wanted(tmp_path: Path) -> None:
    carry_on(tmp_path, 2)
    carry_on(tmp_path, 2)
    carry_on(tmp_path, 3)
    assert_nothing_is_lost(tmp_path, 3)
