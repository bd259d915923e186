"""`tfdqn train --seeds`: what reaches the function behind it, what it prints, and one line for what can't be."""

import json
import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.conftest import Recorder
from tests.support.run_files import finished_run
from tests.support.tiny_runs import tiny
from tfdqn.cli import main
from tfdqn.config.toml import load
from tfdqn.storage.locks import locked
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.storage.run_records import Outcome, RunEnd, write_end
from tfdqn.tuning.seed_results import summarize

Behind = Callable[..., Recorder]
IN_TURN = ("replay.backend=in_graph", "learner.schedule=alternate")
FINAL = {1: 10.0, 2: 20.0, 3: 60.0}


@pytest.fixture
def folder(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> SeedsFolder:
    """Three finished seeds, where a command finds them by default."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    folder = SeedsFolder("runs/small-seeds")
    for seed, final in FINAL.items():
        finished_run(folder.run(seed).path, tiny(f"seed={seed}"), [final / 2, final + 1.0], final)
    return folder


def outcome(folder: SeedsFolder, **changes: Any) -> Any:
    from tfdqn.tuning.seeds import SeedsOutcome

    values: dict[str, Any] = {"summary": summarize(folder), "is_over": True, "failed": [], "unsaved": []}
    return SeedsOutcome(**values | changes)


def test_seeds_reach_the_function_behind_and_the_summary_is_printed(
    behind: Behind, folder: SeedsFolder, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.prerequisites", "require_trainable_runs")
    train = behind("tuning.seeds", "train_seeds", outcome(folder))
    assert main.main(["train", "small.toml", "--seeds", "1-3", "--jobs", "2", "agent.n_step=2", "--profile"]) == 0
    (((config, seeds, where, _, jobs, options), _),) = train.calls
    assert config == load(config_file, ["agent.n_step=2", f"seed={config.seed}"])
    assert (seeds, where.path, jobs, options) == ([1, 2, 3], folder.path, 2, ["--profile"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["1", "finished", "10.00", "11.00", "1,200", "270", "0:03"] in lines
    text = [" ".join(line) for line in lines]
    assert text[-2:] == ["To report on these runs:", "tfdqn report runs/small-seeds"]
    (mean,) = [line for line in text if line.startswith("final evaluation, mean")]
    assert mean.startswith("final evaluation, mean 30.00 (95 % interval ") and mean.endswith(" over 3 seeds")
    assert any(line.startswith("best evaluation, interquartile mean 31.00 ") for line in text)
    assert f"learning curve {folder.learning_curve}" in text
    assert folder.learning_curve.read_bytes().startswith(b"\x89PNG")


def test_an_interruption_prints_the_command_to_resume(
    behind: Behind, folder: SeedsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.prerequisites", "require_trainable_runs")
    behind("tuning.seeds", "train_seeds", outcome(folder, is_over=False, unsaved=["seed 2"]))
    folder.path.rename("my runs")
    arguments = ["train", "small.toml", "task.kwargs.name=a b", "--seeds", "1-3", "--jobs", "2", "--run-dir", "my runs"]
    assert main.main(arguments) == 143
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Saved, but for seed 2. To resume:",
        "tfdqn train small.toml 'task.kwargs.name=a b' --seeds 1-3 --jobs 2 --run-dir 'my runs'",
    ]


def test_a_second_ctrl_c_while_the_curve_is_drawn_leaves_the_table_and_the_command(
    behind: Behind, folder: SeedsFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.prerequisites", "require_trainable_runs")
    behind("tuning.seeds", "train_seeds", outcome(folder, is_over=False))

    def interrupted(_: SeedsFolder) -> list[tuple[str, str]]:
        signal.raise_signal(signal.SIGINT)
        return []

    monkeypatch.setattr("tfdqn.cli.seeds._curve", interrupted)
    assert main.main(["train", "small.toml", "--seeds", "1-3"]) == 0
    out = capsys.readouterr().out
    assert "finished" in out and out.endswith(
        "To resume:\ntfdqn train small.toml --seeds 1-3 --run-dir runs/small-seeds\n"
    )


def test_a_curve_that_can_t_be_drawn_is_one_warning_and_the_table_is_printed(
    behind: Behind, folder: SeedsFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.prerequisites", "require_trainable_runs")
    behind("tuning.seeds", "train_seeds", outcome(folder))

    def plot(*_: object) -> None:
        raise ValueError("Key backend: 'qt4agg' is not a valid value")

    monkeypatch.setattr("tfdqn.reports.learning_curves.plot", plot)
    assert main.main(["train", "small.toml", "--seeds", "1-3"]) == 0
    out, err = capsys.readouterr()
    assert "finished" in out and "learning curve" not in out
    why = "ValueError: Key backend: 'qt4agg' is not a valid value"
    assert err == f"warning: the learning curve is not drawn: {why}\n"


@pytest.mark.parametrize(
    ("unsaved", "status", "said"),
    [([], 0, "Stopped while starting: nothing was lost."), (["seed 1"], 143, "Nothing was saved yet.")],
)
def test_seeds_of_which_none_was_saved_are_begun_again(
    behind: Behind, folder: SeedsFolder, capsys: pytest.CaptureFixture[str], unsaved: list[str], status: int, said: str
) -> None:
    behind("training.prerequisites", "require_trainable_runs")
    other = SeedsFolder("runs/other")
    behind("tuning.seeds", "train_seeds", outcome(other, is_over=False, unsaved=unsaved))
    assert main.main(["train", "small.toml", "--seeds", "1-2", "--run-dir", "runs/other"]) == status
    again = "tfdqn train small.toml --seeds 1-2 --run-dir runs/other"
    assert capsys.readouterr().out.splitlines()[-2:] == [f"{said} To begin again:", again]


def test_together_reaches_a_function_of_its_own_and_stands_in_the_command_to_resume(
    behind: Behind, config_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    behind("training.prerequisites", "require_trainable_runs")
    folder = SeedsFolder("runs/small-seeds")
    finished_run(folder.run(1).path, tiny(*IN_TURN, "seed=1"), [5.0], 5.0)
    train = behind("tuning.seeds", "train_seeds_together", outcome(folder, is_over=False))
    assert main.main(["train", "small.toml", *IN_TURN, "--seeds", "1-3", "--together"]) == 0
    (((config, seeds, where, _, jobs), _),) = train.calls
    assert (config.replay.backend, seeds, where.path, jobs) == ("in_graph", [1, 2, 3], folder.path, None)
    again = f"tfdqn train small.toml {' '.join(IN_TURN)} --seeds 1-3 --together --run-dir runs/small-seeds"
    assert capsys.readouterr().out.splitlines()[-2:] == ["Saved. To resume:", again]


def test_a_failure_is_an_exit_status_of_its_own(
    behind: Behind, folder: SeedsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.prerequisites", "require_trainable_runs")
    behind("tuning.seeds", "train_seeds", outcome(folder, failed=["seed 3"]))
    assert main.main(["train", "small.toml", "--seeds", "1-3"]) == 70
    written = capsys.readouterr()
    assert written.err == "tfdqn: 1 of 3 seeds failed (seed 3)\n"
    again = "tfdqn train small.toml --seeds 1-3 --run-dir runs/small-seeds"
    assert written.out.splitlines()[-2:] == ["To try again:", again]


CLUSTER = json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "5-1"], "--seeds 5-1: the first seed of a range must not be larger than the last, as in 1-5"),
        (["--seeds", "1", "--jobs", "0"], "--jobs"),
        (["--seeds", "2147483648"], "override: seed = 2147483648"),
        (["seed=3", "--seeds", "1-5"], "seed=3: --seeds 1-5 says which seeds are trained: leave one of the two out"),
        (["--jobs", "2"], "--jobs 2 needs --seeds, such as --seeds 1-5"),
        (["--together"], "--together needs --seeds, such as --seeds 1-5"),
        (["--seeds", "4-5", "--together"], '--together: replay.backend = "reverb" has a server for each run: give '),
        (["--seeds", "4-5", "--together", "--profile"], "--profile records one run of its process: "),
        (["--seeds", "1-2", "--run-dir", "runs/small-seeds/seed-1"], "is a run directory, not a folder of seeds"),
        (["--seeds", "1-2", "agent.n_step=3"], "seed-1 belongs to another configuration: "),
        (["--seeds", "1-2", "task.id=Nowhere-v0"], "Nowhere-v0"),
        (["--seeds", "4-5", "task.id=Pendulum-v1"], "task.action_bins"),
        (["--seeds", "1-2", "agent.n_stepp=3"], "agent.n_stepp"),
        (["--seeds", "4-5", "acting.inference=central"], "`tfdqn launch` starts them"),
    ],
)
def test_bad_input_is_one_line(
    folder: SeedsFolder, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    before = sorted(Path().rglob("*"))
    assert main.main(["train", "small.toml", *arguments]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("tfdqn: ") and said in line
    assert sorted(Path().rglob("*")) == before


def test_a_cluster_is_refused(
    folder: SeedsFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CONFIG", CLUSTER)
    assert main.main(["train", "small.toml", "--seeds", "1-2"]) == 2
    said = "tfdqn: --seeds trains each seed on this host, and TF_CONFIG names a cluster: unset TF_CONFIG\n"
    assert capsys.readouterr().err == said


def test_a_system_to_track_in_that_is_missing_is_refused_before_any_seed_begins(
    folder: SeedsFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tfdqn.tracking.systems.find_spec", lambda name: None)
    before = sorted(Path().rglob("*"))
    assert main.main(["train", "small.toml", "--seeds", "4-9", "tracking.mlflow=true"]) == 2
    assert capsys.readouterr().err.startswith("tfdqn: tracking.mlflow = true needs mlflow, which is not installed: ")
    assert sorted(Path().rglob("*")) == before


def test_inspect_says_how_each_seed_stands(folder: SeedsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.run(2).summary_file.unlink()
    assert main.main(["inspect", str(folder.path)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:4] == [
        "1 finished 10.00 11.00 1,200 270 0:03",
        "2 not finished 21.00 1,200 270 0:03",
        "3 finished 60.00 61.00 1,200 270 0:03",
    ]
    assert any(line.startswith("final evaluation, mean 35.00 ") for line in lines)
    again = "tfdqn train runs/small-seeds/seed-2/config.toml --seeds 1-3 --run-dir runs/small-seeds"
    assert lines[-2:] == ["status 2 of 3 finished; to resume:", again]
    assert main.main(["inspect", str(folder.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["status"] for each in found["seeds"]] == ["finished", "not finished", "finished"]
    assert (found["status"], found["resume"]) == ("stopped", again)


def test_inspect_says_why_a_seed_has_failed_and_where_its_log_is(
    folder: SeedsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder.run(2)
    run.summary_file.unlink()
    run.child_log.parent.mkdir(exist_ok=True)
    run.child_log.touch()
    write_end(run.end_file, RunEnd(Outcome.FAILED, False, "the pole is broken"))
    assert main.main(["inspect", str(folder.path)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[2] == "2 failed 21.00 1,200 270 0:03"
    why = "the pole is broken; its log is runs/small-seeds/seed-2/processes/train.log"
    assert f"seed 2 failed {why}" in lines
    assert main.main(["inspect", str(run.path)]) == 0
    assert capsys.readouterr().out.split(maxsplit=1)[1].startswith(f"failed: {why}; to resume:\n")


def test_seeds_that_would_fail_again_have_no_command_but_a_word_on_new_runs(
    behind: Behind, folder: SeedsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    run, advice = folder.run(3), "runs' keys are fixed: to change them, begin new runs, in another folder"
    run.summary_file.unlink()
    shutil.rmtree(run.checkpoints)
    write_end(run.end_file, RunEnd(Outcome.FAILED, False, "loss is nan", needs_another_run=True))
    behind("training.prerequisites", "require_trainable_runs")
    behind("tuning.seeds", "train_seeds", outcome(folder, failed=["seed 3"]))
    assert main.main(["train", "small.toml", "--seeds", "1-3"]) == 70
    assert capsys.readouterr().out.splitlines()[-1] == f"The {advice}"
    assert main.main(["inspect", str(folder.path)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == f"status 2 of 3 finished; the {advice}"
    folder.run(2).summary_file.unlink()  # which the command goes on with
    assert main.main(["inspect", str(folder.path)]) == 0
    assert "; to try again:\n" in capsys.readouterr().out


def test_inspect_says_why_seeds_have_failed_of_which_none_had_begun(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run = SeedsFolder("seeds").run(2)
    write_end(run.end_file, RunEnd(Outcome.FAILED, False, "the pole is broken"))
    assert main.main(["inspect", "seeds"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == "2 failed 0 0 0:00"
    assert lines[-2:] == ["seed 2 failed the pole is broken", "status 0 of 1 finished"]  # it has no log


def test_finished_seeds_are_watched_no_longer_once_nobody_trains_more(
    folder: SeedsFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as trainer:
        trainer.enter_context(locked(folder.lock_file, folder.path))
        # Its own `time`, as threads of other tests may sleep, too.
        monkeypatch.setattr("tfdqn.cli.inspect_view.time", SimpleNamespace(sleep=lambda _: trainer.close()))
        assert main.main(["inspect", str(folder.path), "--watch", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_folder_of_seeds_is_plotted_into_itself(folder: SeedsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["plot", str(folder.path)]) == 0
    assert capsys.readouterr().out == f"{folder.learning_curve}\n"
    assert folder.learning_curve.exists()
