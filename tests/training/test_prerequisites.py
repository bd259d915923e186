"""What a run in one process can't have is refused before it begins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.tiny_runs import tiny
from tfdqn.errors import ConfigError, TaskError
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.training.prerequisites import image_warning, require_trainable, require_trainable_runs


@pytest.mark.parametrize(
    ("override", "error", "said"),
    [
        ("acting.inference=central", ConfigError, "`tfdqn launch` starts them$"),
        ("task.id=Nowhere-v0", TaskError, "Nowhere-v0"),
        ("tracking.mlflow=true", ConfigError, "^tracking.mlflow = true needs mlflow, which is not installed: "),
    ],
)
def test_what_a_run_needs_is_said_in_one_line(
    override: str, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.tracking.systems.find_spec", lambda name: None)
    require_trainable(tiny())
    with pytest.raises(error, match=said):
        require_trainable(tiny(override))


@pytest.mark.parametrize(
    ("override", "error", "said"),
    [
        ("task.id=Pendulum-v1", TaskError, "Pendulum-v1"),
        ("network.kind=nature_cnn", ConfigError, "nature_cnn.*CartPole-v1 observes"),
        ("acting.inference=central", ConfigError, "`tfdqn launch` starts them$"),
    ],
)
def test_many_runs_are_refused_for_what_each_of_them_would_find(
    override: str, error: type[ConfigError | TaskError], said: str
) -> None:
    with pytest.raises(error, match=said):
        require_trainable_runs(tiny(override))


_REFUSED = """
import os, sys, tfdqn
sys.modules["tensorflow"] = None  # its import would fail
os.mkdir("taken")
open("taken/other", "w").close()
for config, run, said in (
    (tfdqn.Config(learner=tfdqn.Learner(batch_size=-1)), "run", "batch_size"),
    (tfdqn.Config(task=tfdqn.Task(id="Nowhere-v0")), "run", "Nowhere-v0"),
    (tfdqn.Config(), "taken", "other files"),
):
    try:
        tfdqn.train(config, run)
    except tfdqn.UserError as error:
        assert said in str(error), error
    else:
        raise AssertionError(said)
assert os.listdir() == ["taken"]
"""


def test_tensorflow_is_not_imported_for_what_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-c", _REFUSED], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("kind", "shape", "is_misread"),
    [
        ("small_cnn", (3, 50, 70), True),
        ("impala", (3, 50, 70), True),
        ("nature_cnn", (3, 50, 70), True),
        ("small_cnn", (50, 70, 3), False),
        ("mlp", (3, 50, 70), False),
    ],
)
def test_an_image_that_the_network_would_misread_is_warned_of(
    kind: str, shape: tuple[int, ...], is_misread: bool
) -> None:
    spec = TaskSpec(id="x", observation={"observation": ArraySpec(shape=shape, dtype="uint8")}, actions=discrete(2))
    warning = image_warning(tiny(f"network.kind={kind}"), spec)
    assert warning.startswith("channels seem to come first, ") if is_misread else warning == ""
