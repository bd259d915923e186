"""How commands end: what a user can mend is one line and status 2; help needs nothing heavy."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from rich.console import Console

from tests.cli.conftest import Recorder
from tests.support.commands import PROJECT
from tests.support.run_files import finished_run
from tfdqn.cli import main
from tfdqn.cluster.program import AT_ONCE_AFTER, NEVER_AFTER
from tfdqn.config import Config
from tfdqn.config.headline import headline
from tfdqn.config.toml import load
from tfdqn.errors import (
    FAILED_STATUS,
    ClusterError,
    EnvironmentFailedError,
    FaultyTaskError,
    NotFiniteError,
    ProcessFailedError,
    TaskError,
    UserError,
)

HEAVY = ("tensorflow", "keras", "tf_agents", "reverb", "gymnasium", "gym", "matplotlib", "numpy", "rich")


def test_an_error_that_a_user_can_mend_is_one_line_and_status_2(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.train", "train_checked", TaskError("CartPol-v1: unknown task;\n did you mean CartPole-v1?"))
    assert main.main(["train", "small.toml"]) == 2
    written = capsys.readouterr()
    assert written.err == "tfdqn: CartPol-v1: unknown task; did you mean CartPole-v1?\n"


def test_a_task_that_can_t_be_made_is_refused_before_tensorflow_s_import(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = behind("training.train", "train_checked")
    assert main.main(["train", "small.toml", "task.id=CartPoel-v1"]) == 2
    written = capsys.readouterr()
    assert (written.out, train.calls) == ("", [])
    assert written.err.startswith('tfdqn: unknown task "CartPoel-v1"; the nearest are CartPole')


@pytest.mark.parametrize("has_saved", [True, False])
@pytest.mark.parametrize("kind", [FaultyTaskError, ClusterError, EnvironmentFailedError])
def test_a_lost_process_is_one_line_and_how_to_resume(
    kind: type[UserError],
    has_saved: bool,
    behind: Callable[..., Recorder],
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    behind("training.train", "train_checked", kind("worker 1 was killed by signal 9"))
    monkeypatch.setattr("tfdqn.storage.run_directory.RunDir.has_checkpoint", has_saved)
    assert main.main(["train", "small.toml", "tracking.name=a b", "--run-dir", "my run"]) == 2
    written = capsys.readouterr()
    assert written.err == "tfdqn: worker 1 was killed by signal 9\n"
    how = "resume" if has_saved else "begin again"
    again = f"To {how}:\ntfdqn train small.toml 'tracking.name=a b' --run-dir 'my run'\n"
    assert written.out == f"{headline(Config())}\n{again}"


@pytest.mark.parametrize("has_saved", [True, False])
def test_a_loss_that_is_not_finite_is_one_line_and_how_to_resume_if_anything_was_saved(
    has_saved: bool,
    behind: Callable[..., Recorder],
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    behind("training.train", "train_checked", NotFiniteError("loss is nan at train step 9: lower x"))
    monkeypatch.setattr("tfdqn.storage.run_directory.RunDir.has_checkpoint", has_saved)
    assert main.main(["train", "small.toml", "--run-dir", "here"]) == 2
    written = capsys.readouterr()
    assert written.err == "tfdqn: loss is nan at train step 9: lower x\n"
    again = "To resume:\ntfdqn train small.toml --run-dir here\n" if has_saved else ""
    assert written.out == f"{headline(Config())}\n{again}"


def test_a_process_whose_part_failed_is_to_be_started_again(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.train", "train_checked", ProcessFailedError("Fails-v0, step 5: the simulator is gone"))
    status = main.main(["train", "small.toml"])
    assert status == FAILED_STATUS and capsys.readouterr().err.startswith("tfdqn: Fails-v0, step 5: ")
    # A supervisor starts it again after a pause that grows, and gives up where it fails again and again.
    assert FAILED_STATUS not in (*NEVER_AFTER, *AT_ONCE_AFTER)


def test_a_bug_is_not_hidden(behind: Callable[..., Recorder], config_file: Path) -> None:
    behind("training.train", "train_checked", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main.main(["train", "small.toml"])


def test_ctrl_c_where_nothing_is_to_be_saved_exits_130(
    behind: Callable[..., Recorder], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("evaluation.evaluate", "evaluate", KeyboardInterrupt())
    assert main.main(["evaluate", "runs/x"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "Missing argument 'CONFIG'"),
        (["trian", "x"], "(see `tfdqn --help`)"),
        (["train", "small.toml", "--run-dirr", "x"], "No such option: --run-dirr"),
        (["train", "small.toml", "--seed", "3"], "; a key is given without dashes, as seed=VALUE (see"),
        (["launch", "small.toml", "--agent.n_step=3"], "; a key is given without dashes, as agent.n_step=VALUE (see"),
        (["config", "small.toml", "--n-step", "3"], "; a key is given without dashes, as agent.n_step=VALUE (see"),
        (["evaluate", "runs/x", "--n-step", "3"], "No such option: --n-step (Possible options: --set) (see"),
        (["train", "small.toml", "--bogus"], "(see `tfdqn train --help`)"),
        (["train", "small.toml", "--run-dir"], "'--run-dir' requires an argument (see `tfdqn train --help`)"),
        (["train", "small.toml", "--profile=3"], "'--profile' does not take a value (see `tfdqn train --help`)"),
        (["--version=3"], "(see `tfdqn --help`)"),
        (["train", "small.toml", "seed=1", "seed=2"], "seed=1 and seed=2 are both given: leave one of the two out"),
        (["config", "small.toml", "agent.kind=dqn", "agent.kind=c51"], "agent.kind=dqn and agent.kind=c51 are both"),
        (["tasks", "--check", "X-v0", "task.id=A-v0", "task.id=B-v0"], "task.id=A-v0 and task.id=B-v0 are both given"),
        (["evaluate", "x", "--episodes", "0"], "'--episodes': 0 is not in the range x>=1"),
        (["launch", "x", "--actors", "two"], "'--actors': 'two' must be a whole number at least 1 (see"),
        (["serve", "x", "--port", "x"], "'--port': 'x' must be a whole number at least 0 and at most 65535 (see"),
        (["export", "x", "--min-return", "x"], "'--min-return': 'x' must be a number (see"),
        (["export", "x", "--min-return", "nan"], "'--min-return': nan must be a finite number (see"),
        (["report", "x", "--threshold", "inf"], "'--threshold': inf must be a finite number (see"),
        (["serve", "x", "--drain-seconds", "nan"], "'--drain-seconds': nan must be a finite number (see"),
        (["serve", "x", "--drain-seconds", "inf"], "'--drain-seconds': inf must be a finite number (see"),
        (["health", "--within", "nan"], "'--within': nan must be a finite number (see"),
        (["evaluate", "small.toml"], "small.toml is a file, not a directory"),
        (["serve", "small.toml"], "small.toml is a file, not a directory"),
        (["report", "small.toml"], "small.toml is a file, not a directory"),
        (["report", "nowhere"], "nowhere doesn't exist"),
        (["evaluate", "x", "--video", "--gif"], "--video and --gif: an episode is recorded as one of the two"),
        (["evaluate", "x", "--checkpoint", "newest"], "'newest' is not one of 'best', 'latest'"),
        (["evaluate", "x", "task.restarts=1"], "(task.restarts=1); a key of the task is given as --set task.KEY=VALUE"),
        (["plot"], "Missing argument 'RUN...'"),
        (["train", "nowhere.toml"], "nowhere.toml: there is no such file"),
        (["train", "small.toml", "agent.nstep=3"], 'override: agent.nstep is not a key (did you mean "agent.n_step"?)'),
        (["train", "small.toml", "seed"], 'override "seed": must be key=value'),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    config_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main.main(arguments) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert len(written.err.splitlines()) == 1
    assert written.err.startswith("tfdqn: ")
    assert said in written.err


VERBS = set(typer.main.get_command(main.app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", [[], *([name] for name in sorted(VERBS - {"run"}))])  # `run` ends its process
def test_every_verb_has_its_help_in_either_way(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*verb, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Usage: {' '.join(['tfdqn', *verb])} [OPTIONS]") and "-h, --help" in told
    assert main.main([*verb, "-h"]) == 0 and capsys.readouterr().out == told


def test_the_usage_of_tasks_has_the_keys_that_a_check_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["tasks", "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: tfdqn tasks [OPTIONS] [PATTERN|KEY=VALUE...]\n")


@pytest.mark.parametrize(("columns", "widest"), [(46, 46), (60, 60), (80, 80), (200, 80)])
def test_help_uses_the_terminal_s_columns_up_to_80(
    columns: int, widest: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for verb in ("evaluate", "export", "report"):
        assert main.main([verb, "--help"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert widest - 12 <= max(map(len, lines)) <= widest


FEW = "task.num_envs=2 task.max_episode_steps=20"


@pytest.mark.parametrize(
    "command", ["version", "config small.toml", "tasks --help", "tasks CartPole", f"tasks --check CartPole-v1 {FEW}"]
)
def test_where_the_reader_has_gone_the_status_is_1(command: str, config_file: Path) -> None:
    mine, theirs = os.pipe()
    os.close(mine)
    with os.fdopen(theirs, "wb") as output:
        program = [sys.executable, "-m", "tfdqn", *command.split()]
        done = subprocess.run(program, stdout=output, stderr=subprocess.PIPE, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (1, "")


def test_an_evaluation_that_nobody_reads_ends_with_1(
    behind: Callable[..., Recorder], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = SimpleNamespace(mean_return=1, std_return=1, ci_low=1, ci_high=1, median_return=1, mean_length=1)
    report.episodes, report.video = 7, None
    behind("evaluation.evaluate", "evaluate", report)
    monkeypatch.setattr("tfdqn.cli.terminal.make_console", lambda: Console(quiet=True))
    assert main.main(["evaluate", "runs/x"]) == 1


def test_an_unknown_task_is_told_before_whose_the_run_directory_is(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished_run(Path("run"), load(config_file, ["agent.n_step=2"]), [1.0], 1.0)
    command = ["train", "small.toml", "--run-dir", "run"]
    assert main.main([*command, "task.id=CartPol-v1"]) == 2
    assert capsys.readouterr().err.startswith('tfdqn: unknown task "CartPol-v1"; ')
    assert main.main(command) == 2
    assert capsys.readouterr().err.startswith("tfdqn: run belongs to another configuration: ")


def test_the_version_is_told_in_either_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--version"]) == 0
    told = capsys.readouterr().out
    assert main.main(["version"]) == 0
    assert capsys.readouterr().out == told and re.fullmatch(r"\d+\.\d+\.\d+\S*\n", told)


MISTAKES: list[tuple[list[str], str]] = [
    (["evaluate", "nope"], "nope doesn't exist"),
    (["evaluate", "runs/x", "--set", "agent.discount=0.5"], "--set agent.discount=0.5: only keys of [task] can be"),
    (["evaluate", "runs/x", "--set", "task.ide=x"], '--set: task.ide is not a key (did you mean "task.id"?)'),
    (["evaluate", "runs/x", "--set", "task.id"], '--set "task.id": must be key=value, such as agent.n_step=3'),
    (["evaluate", "runs/x", "--set", "task.id.x=1"], '--set "task.id.x=1": "task.id" is "CartPole-v1", not a'),
    (["evaluate", "begun"], "begun has no evaluated policy yet, and no checkpoint"),
    (["export", "nope"], "nope doesn't exist"),
    (["export", "begun", "--checkpoint", "latest"], "begun has no checkpoint yet"),
    (["export", "runs/x", "--hub-layout", "begun"], "begun: already exists and is not an empty folder"),
    (["export", "runs/x", "--hub-layout", "begun/config.toml/x"], "begun/config.toml is not a directory"),
    (["plot", "nope"], "nope doesn't exist"),
    (["serve", "nope"], "nope doesn't exist"),
    (["inspect", "nope"], "nope"),
    (["health", "--run-dir", "nope"], "nope doesn't exist"),
    (["train", "nope"], "nope: there is no such file"),
    (["launch", "nope"], "nope: there is no such file"),
    (["manifest", "slurm", "nope"], "nope: there is no such file"),
    (["tune", "some.toml", "space.toml"], 'space.toml: learner.batch_size = "many": must be a whole number'),
    (["tune", "some.toml", "space.toml", "agent.n_step=0"], "override: agent.n_step = 0: must be a whole"),
]


def test_a_mistake_is_said_before_anything_heavy_is_imported(run: Path) -> None:
    Path("begun").mkdir()
    Path("begun/config.toml").write_text("seed = 1\n")
    Path("some.toml").write_text("seed = 3")
    Path("space.toml").write_text('"learner.batch_size" = { choices = [32, "many"] }')
    heavy = ("tensorflow", "tf_agents", "reverb", "gymnasium", "matplotlib", "optuna", "sqlalchemy")
    found = probe([arguments for arguments, _ in MISTAKES], heavy)
    for (arguments, said), (status, imported, err) in zip(MISTAKES, found, strict=True):
        assert (arguments, status, imported) == (arguments, 2, [])
        assert said in err and len(err.splitlines()) == 1


def probe(commands: list[list[str]], heavy: tuple[str, ...]) -> list[tuple[int, list[str], str]]:
    """Commands, one after the other in a new process: the status of each, what of the heavy is imported, its errors."""
    program = f"""
import io, json, sys
from contextlib import redirect_stderr
from tfdqn.cli.main import main
found = []
for command in {commands}:
    with redirect_stderr(io.StringIO()) as errors:
        status = main(command)
    found.append([status, [name for name in {heavy} if name in sys.modules], errors.getvalue()])
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True)
    assert done.stderr == ""
    return [tuple(each) for each in json.loads(done.stdout.splitlines()[-1])]


def test_help_and_configurations_need_nothing_heavy() -> None:
    commands = [["--help"], ["train", "--help"], [], ["--version"], ["config", str(PROJECT / "configs/cartpole.toml")]]
    assert probe(commands, HEAVY) == [(0, [], "")] * len(commands)
