"""`tfdqn train --seeds --together` for real: each seed comes to what it comes to alone, also when it was cut short."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import ENDLESS, IN_GRAPH, OFTEN, PROJECT, counters, newest, readable, tfdqn, write_config
from tests.support.tiny_runs import assert_same_arrays, everything, lines, policy_weights
from tests.support.waiting import until
from tfdqn.cli import main

COMPILED = (*IN_GRAPH, "learner.xla=auto")


def comparable(values: dict[str, Any]) -> dict[str, Any]:
    """Without what the clock, the run's place and a kill decide.

    A run that is killed after a best evaluation, of which its checkpoint knows nothing, makes the evaluations before it
    again, and then says that they are not the best.
    """
    return {name: value for name, value in values.items() if name not in ("seconds", "paths", "is_best")}


def assert_same_run(ours: Path, theirs: Path) -> None:
    """To the last bit: all that decides the future, the best policy, evaluations and summary."""
    assert_same_arrays(everything(ours), everything(theirs))
    assert_same_arrays(policy_weights(ours, "best"), policy_weights(theirs, "best"))
    evaluations = [[comparable(line) for line in lines(run / "evaluations.jsonl")] for run in (ours, theirs)]
    assert evaluations[0] == evaluations[1]
    summaries = [comparable(json.loads((run / "summary.json").read_text())) for run in (ours, theirs)]
    assert summaries[0] == summaries[1]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("seeds", "is_killed_too"), [(2, False), pytest.param(3, True, marks=pytest.mark.long)])
def test_each_seed_is_its_own_run_and_goes_on_as_one_after_a_signal_and_after_a_kill(
    tmp_path: Path, seeds: int, is_killed_too: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, *COMPILED, OFTEN)
    runs = [tmp_path / "s" / f"seed-{seed}" for seed in range(1, seeds + 1)]
    arguments = ["train", config, ENDLESS, "--seeds", f"1-{seeds}", "--together", "--run-dir", "s"]
    with tfdqn(tmp_path, *arguments) as process:
        for run in runs:
            process.until_saved(run)
        process.send(signal.SIGTERM)
        assert process.ended() == 0, process.err
        assert process.out.splitlines()[0].startswith(f"{seeds} seeds in s: {seeds} together in ")
        again = process.resumption()
    assert again == arguments
    if is_killed_too:
        before = [newest(run) for run in runs]
        with tfdqn(tmp_path, *again) as process:
            for run, saved in zip(runs, before, strict=True):
                process.until_saved(run, beyond=saved)
            process.kill()
            until(lambda: not process.relatives())  # none outlives it
    end = f"stop.env_steps={max(counters(run).env_steps for run in runs) + 1_000}"
    with tfdqn(tmp_path, *(end if each == ENDLESS else each for each in again), "--jobs", "1") as process:
        assert process.ended() == 0, process.err
        assert f"{seeds} seeds in s: 1 together in 1 process on" in process.out  # so each uses the first one's programs
        assert f"seed {seeds} has finished: mean return " in process.out
    monkeypatch.chdir(tmp_path)
    assert main.main(["train", config, end, f"seed={seeds}", "--run-dir", "own"]) == 0
    assert_same_run(runs[-1], tmp_path / "own")
    summary = json.loads((tmp_path / "s" / "seeds.json").read_text())
    assert [each["status"] for each in summary["seeds"]] == ["finished"] * seeds
    assert (tmp_path / "s" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    for command in (["inspect", "s"], ["report", "s"]):
        assert main.main(command) == 0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_seed_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    config = write_config(tmp_path, *COMPILED)
    (tmp_path / "s" / "seed-1").mkdir(parents=True)
    (tmp_path / "s" / "seed-1" / "processes").write_text("in the way")
    with tfdqn(tmp_path, "train", config, "--seeds", "1-2", "--together", "--run-dir", "s") as process:
        assert process.ended() == 70, process.err
        assert process.err == "tfdqn: 1 of 2 seeds failed (seed 1)\n"
        assert "\nTo try again:\ntfdqn train " in process.out
        assert "seed 1 has failed: can't be started: " in process.out
    assert (tmp_path / "s" / "seed-2" / "summary.json").exists()
    (tmp_path / "s" / "seed-1" / "processes").unlink()
    with tfdqn(tmp_path, "train", config, "--seeds", "1-2", "--together", "--run-dir", "s") as process:
        assert process.ended() == 0, process.err
        assert "2 seeds in s (1 finished before): 1 together in 1 process on" in process.out


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_second_ctrl_c_ends_all_at_once(tmp_path: Path, number: signal.Signals) -> None:
    config = write_config(tmp_path, *COMPILED, ENDLESS, OFTEN)
    with tfdqn(tmp_path, "train", config, "--seeds", "1-2", "--together", "--run-dir", "s") as process:
        for seed in (1, 2):
            process.until_saved(tmp_path / "s" / f"seed-{seed}")
        process.send(number)
        process.send(signal.SIGINT)
        assert process.ended() in (0, 130)  # 0 where all were saved before the second came
    for seed in (1, 2):
        assert readable(tmp_path / "s" / f"seed-{seed}").counters.env_steps > 0


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_five_seeds_of_cartpole_together_are_their_own_runs_and_all_learn_it(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(PROJECT / "configs")
    given = ["configs/cartpole.toml", *IN_GRAPH]
    with tfdqn(tmp_path, "train", *given, "--seeds", "1-5", "--together") as process:
        assert process.ended_within(3_000), process.out
        assert process.ended() == 0, process.err
    folder = tmp_path / "runs" / "cartpole-seeds"
    summary = json.loads((folder / "seeds.json").read_text())
    # Gymnasium counts CartPole-v1 as solved from a mean return of 475 on.
    assert [each["final_return"] >= 475.0 for each in summary["seeds"]] == [True] * 5, summary
    with tfdqn(tmp_path, "train", *given, "seed=5", "--run-dir", "own") as process:
        assert process.ended() == 0, process.err
    assert_same_run(folder / "seed-5", tmp_path / "own")
