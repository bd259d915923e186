"""What `launch` says in the end."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.commands import write_config
from tests.support.run_files import a_summary
from tfdqn.cli import main
from tfdqn.cli.arguments import load_job
from tfdqn.errors import ConfigError
from tfdqn.launch import local_job
from tfdqn.launch.supervised_process import SupervisedProcess
from tfdqn.records import Counters
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.run_directory import RunDir


@pytest.mark.parametrize(
    ("is_saved", "status", "said"),
    [
        (True, 0, "Saved at 1,200 of 5,000 environment steps."),
        (False, 143, "The learner could not save; the last checkpoint is at 1,200 of 5,000 environment steps."),
    ],
)
def test_a_stopped_job_says_where_its_checkpoint_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_saved: bool,
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_job, "launch", lambda *_, **__: local_job.Outcome(None, is_saved))
    counters = Counters(env_steps=1_200, train_steps=250)
    CheckpointManager(RunDir("run").checkpoints).save(counters, {}, lambda _: None)
    config = write_config(tmp_path, "stop.env_steps=5000")
    assert main.main(["launch", config, "--run-dir", "run"]) == status
    assert capsys.readouterr().out == f"{said} To resume:\ntfdqn launch tiny.toml --run-dir run\n"


def test_a_finished_job_says_how_it_is_trained_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    summary = a_summary(env_steps=1_204, best_return=475.5)
    monkeypatch.setattr(local_job, "launch", lambda *_, **__: local_job.Outcome(summary, True))
    config, given = write_config(tmp_path), ["acting.actors=2", "stop.return_at_least=475"]
    assert main.main(["launch", config, *given, "--no-evaluator", "--run-dir", "run"]) == 0
    beyond = "acting.actors=2 stop.env_steps=2400 stop.return_at_least=none --no-evaluator"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "To resume beyond this:",
        f"tfdqn launch tiny.toml {beyond} --run-dir run",
    ]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("network.kind=nature_cnn",), 'network.kind = "nature_cnn": needs one image [height, width] or '),
        (
            ("network.normalize_observations=true", "task.id=FrozenLake-v1"),
            "network.normalize_observations = true: FrozenLake-v1 observes no numbers of unknown scale",
        ),
    ],
)
def test_a_network_that_the_task_does_not_fit_is_refused_before_anything_is_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    overrides: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_job, "launch", pytest.fail)
    monkeypatch.setattr("tfdqn.tuning.seeds.train_seeds", pytest.fail)
    config = write_config(tmp_path)
    for command in (["launch", config, "--run-dir", "run"], ["train", config, "--seeds", "1-2", "--run-dir", "run"]):
        assert main.main([*command, *overrides]) == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_an_option_may_repeat_what_its_key_says(config_file: Path) -> None:
    overrides = ["acting.actors=1_0", "learner.strategy=parameter_server"]
    resolved, _ = load_job(config_file, overrides, 10, None, None, 1)
    assert (resolved.acting.actors, resolved.learner.parameter_servers) == (10, 1)


def test_a_count_that_cannot_be_names_the_option_that_gave_it(config_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--actors: acting\.actors = 2000: must be a whole number from 1 to 1024$"):
        load_job(config_file, ["agent.n_step=3"], 2000, None, None, None)
    with pytest.raises(ConfigError, match=r"^override: agent\.n_step = 0: must be"):
        load_job(config_file, ["agent.n_step=0"], 2, None, None, None)


@pytest.mark.parametrize("is_resumed", [True, False])
def test_a_signal_while_a_job_is_prepared_ends_it_before_its_first_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_resumed: bool
) -> None:
    def search_for_gpus() -> tuple[str, ...]:
        os.kill(os.getpid(), signal.SIGTERM)
        return ()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_job, "visible_gpus", search_for_gpus)
    monkeypatch.setattr(SupervisedProcess, "start", None)
    config = write_config(tmp_path, "exploration.decay_env_steps=12000")
    if is_resumed:
        shutil.copytree(tmp_path, tmp_path / "run")
        (tmp_path / "run" / "tiny.toml").rename(tmp_path / "run" / "config.toml")
        CheckpointManager(RunDir("run").checkpoints).save(Counters(env_steps=8), {}, lambda _: None)
    assert main.main(["launch", config, "--run-dir", "run"]) == 0
    said = "Saved at 8 of 1,200 environment steps. To resume" if is_resumed else "Nothing was saved yet. To begin again"
    assert capsys.readouterr().out.splitlines()[1:] == [
        "warning: stop.env_steps = 1,200 ends the run after 10 % of exploration.decay_env_steps = 12,000",
        "stopping on SIGTERM; Ctrl-C ends everything at once, saved or not",
        f"{said}:",
        "tfdqn launch tiny.toml --run-dir run",
    ]
