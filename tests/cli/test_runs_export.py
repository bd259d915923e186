"""`tfdqn export`: what reaches the function behind it, and what is refused before that is imported."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Recorder
from tfdqn.cli import main
from tfdqn.evaluation.evaluator import scores
from tfdqn.exporting import formats
from tfdqn.records import Evaluation
from tfdqn.storage.best_policy import save_best
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.shell_commands import install_extra

RETURNS = np.array([100.0, 200.0, 300.0])


@pytest.fixture
def evaluated(run: Path) -> None:
    """The run's best policy had a mean return of 200."""
    evaluation = Evaluation(env_steps=40, train_steps=10, scores=scores(RETURNS, RETURNS), is_best=True)
    save_best(RunDir(run).best_weights, {}, evaluation)


def test_it_prints_where_the_model_is(
    behind: Callable[..., Recorder], evaluated: None, capsys: pytest.CaptureFixture[str]
) -> None:
    export = behind("exporting.from_run", "export_run", Path("runs/x/exports/2"))
    assert main.main(["export", "runs/x", "--min-return", "-5.5"]) == 0
    assert main.main(["export", "runs/x", "--checkpoint", "latest"]) == 0
    assert capsys.readouterr().out == "runs/x/exports/2\n" * 2
    assert main.main(["export", "runs/x", "--format", "tflite", "--format", "savedmodel"]) == 0
    assert capsys.readouterr().out == "runs/x/exports/2/policy.tflite\nruns/x/exports/2\n"
    assert [arguments for arguments, _ in export.calls] == [
        (Path("runs/x"), "best", -5.5, ["savedmodel"]),
        (Path("runs/x"), "latest", None, ["savedmodel"]),
        (Path("runs/x"), "best", None, ["tflite", "savedmodel"]),
    ]


def test_a_policy_that_is_too_bad_or_was_not_evaluated_is_refused_before_tensorflow_is_imported(
    behind: Callable[..., Recorder], evaluated: None, capsys: pytest.CaptureFixture[str]
) -> None:
    export = behind("exporting.from_run", "export_run")
    assert main.main(["export", "runs/x", "--min-return", "200.5"]) == 2
    assert main.main(["export", "runs/x", "--checkpoint", "latest", "--min-return", "1"]) == 2
    assert capsys.readouterr().err == (
        "tfdqn: not exported: the best policy's mean return is 200.00 over 3 episodes, below the required 200.50\n"
        "tfdqn: --min-return (min_return in Python) applies to the best policy only: "
        "the latest checkpoint's was not evaluated\n"
    )
    assert export.calls == []


def test_a_network_with_convolutions_is_computed_by_onednn(
    run: Path, behind: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    RunDir(run).config_file.write_text('[network]\nkind = "nature_cnn"\n')
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    found: list[str] = []
    behind("exporting.from_run", "export_run", lambda *_: found.append(os.environ["TF_ENABLE_ONEDNN_OPTS"]))
    assert main.main(["export", "runs/x"]) == 0
    assert found == ["1"]


def test_a_missing_converter_is_said_before_any_work(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export = behind("exporting.from_run", "export_run")
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert main.main(["export", "runs/x", "--format", "onnx"]) == 2
    assert export.calls == []
    command = install_extra("onnx")
    assert capsys.readouterr().err == f"tfdqn: ONNX needs tf2onnx, which is not installed: {command}\n"
