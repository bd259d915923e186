"""`tfdqn train --seeds` for real: stopped, killed and resumed, and five seeds of CartPole that all learn it."""

import json
import signal
from pathlib import Path

import pytest

from tests.support.commands import ENDLESS, IN_GRAPH, OFTEN, PROJECT, newest, readable, tfdqn, write_config
from tests.support.processes import is_running
from tests.support.tiny_runs import lines
from tests.support.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_seeds_are_stopped_killed_and_resumed_until_all_have_finished(tmp_path: Path) -> None:
    config = write_config(tmp_path, *IN_GRAPH, ENDLESS, OFTEN)
    first, second = (tmp_path / "s" / f"seed-{seed}" for seed in (1, 2))
    arguments = ["train", config, "--seeds", "1-2", "--jobs", "2", "--run-dir", "s"]
    with tfdqn(tmp_path, *arguments) as process:
        for run in (first, second):
            process.until_saved(run)
        process.send(signal.SIGINT)
        assert process.ended() == 0, process.err
        again = process.resumption()
    assert again == arguments
    taken = [readable(run).counters.env_steps for run in (first, second)]
    with tfdqn(tmp_path, *again) as process:
        before = [newest(run) for run in (first, second)]
        for run, checkpoint in zip((first, second), before, strict=True):
            process.until_saved(run, beyond=checkpoint)
        family = process.relatives()
        assert len(family) >= 3
        process.send(signal.SIGKILL)
        process.ended()
        until(lambda: not any(map(is_running, family)))
    more = max(*taken, *(readable(run).counters.env_steps for run in (first, second))) + 500
    with tfdqn(tmp_path, *again, f"stop.env_steps={more}") as process:
        assert process.ended() == 0, process.err
        assert "2 seeds in s: 2 at a time on" in process.out
        assert "seed 2 has finished: mean return " in process.out
    summary = json.loads((tmp_path / "s" / "seeds.json").read_text())
    assert [each["status"] for each in summary["seeds"]] == ["finished", "finished"]
    assert all(each["env_steps"] >= more for each in summary["seeds"])
    for run in (first, second):
        steps = [line["env_steps"] for line in lines(run / "metrics.jsonl")]
        assert steps == sorted(steps)
    assert (tmp_path / "s" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_seed_that_fails_leaves_the_other_alone(tmp_path: Path) -> None:
    config = write_config(tmp_path, *IN_GRAPH)
    blocked = tmp_path / "s" / "seed-1" / "processes"
    blocked.mkdir(parents=True)
    (blocked / "train.toml").mkdir()  # stands in the way
    with tfdqn(tmp_path, "train", config, "--seeds", "1-2", "--run-dir", "s") as process:
        assert process.ended() == 70
        assert process.err == "tfdqn: 1 of 2 seeds failed (seed 1)\n"
        assert "\nTo try again:\ntfdqn train " in process.out
        assert "seed 1 has failed: can't be started: " in process.out
    assert (tmp_path / "s" / "seed-2" / "summary.json").exists()
    (blocked / "train.toml").rmdir()
    with tfdqn(tmp_path, "train", config, "--seeds", "1-2", "--run-dir", "s") as process:
        assert process.ended() == 0, process.err
        assert "2 seeds in s (1 finished before): 1 at a time on" in process.out
    summary = json.loads((tmp_path / "s" / "seeds.json").read_text())
    assert summary["final"]["seeds"] == 2


@pytest.mark.timeout(3_600)
def test_five_seeds_of_cartpole_all_learn_it(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(PROJECT / "configs")
    with tfdqn(tmp_path, "train", "configs/cartpole.toml", "--seeds", "1-5") as process:
        assert process.ended_within(3_000), process.out
        assert process.ended() == 0, process.err
    summary = json.loads((tmp_path / "runs" / "cartpole-seeds" / "seeds.json").read_text())
    # Gymnasium counts CartPole-v1 as solved from a mean return of 475 on.
    assert [each["final_return"] >= 475.0 for each in summary["seeds"]] == [True] * 5, summary
    assert summary["final"]["mean_interval"][0] >= 475.0
